/* One HTTP/1.x request head, strictly: what isn't plainly one of ours is refused. */
#include "agent.h"

#include <string.h>
#include <strings.h>

static bool is_token(char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Ends at a CRLF. NULL where the line holds a bare CR, LF or NUL. */
static const char *line_end(const char *p, const char *end) {
    for (; p < end; p++) {
        if (*p == '\0' || *p == '\n')
            return NULL;
        if (*p == '\r')
            return p + 1 < end && p[1] == '\n' ? p : NULL;
    }
    return NULL;
}

static bool header_line(const char *p, const char *end) {
    const char *name = p;
    while (p < end && is_token(*p))
        p++;
    if (p == name || p == end || *p != ':')
        return false;
    struct text value = {p + 1, (size_t)(end - p - 1)};
    while (value.length && (*value.at == ' ' || *value.at == '\t'))
        value.at++, value.length--;
    size_t length = (size_t)(p - name);
    if (length == 17 && strncasecmp(name, "transfer-encoding", length) == 0)
        return false; /* no request of ours has a body */
    if (length == 14 && strncasecmp(name, "content-length", length) == 0)
        return value.length >= 1 && value.at[0] == '0' && (value.length == 1 || value.at[1] == ' ');
    return true;
}

static enum http_verb request_line(const char *p, const char *end) {
    const char *space = memchr(p, ' ', (size_t)(end - p));
    const char *target = space ? space + 1 : end;
    const char *second = memchr(target, ' ', (size_t)(end - target));
    if (!space || !second || second == target || end - second != 9)
        return HTTP_BAD;
    if (memcmp(second, " HTTP/1.", 8) != 0 || (second[8] != '0' && second[8] != '1'))
        return HTTP_BAD;
    for (const char *c = p; c < space; c++)
        if (!is_token(*c))
            return HTTP_BAD;
    for (const char *c = target; c < second; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
            return HTTP_BAD;
    size_t method = (size_t)(space - p), path = (size_t)(second - target);
    if (target[0] != '/' && !(path > 7 && strncasecmp(target, "http://", 7) == 0))
        return HTTP_BAD;
    if (method == 3 && memcmp(p, "GET", 3) == 0)
        return HTTP_GET;
    if (method == 4 && memcmp(p, "HEAD", 4) == 0)
        return HTTP_HEAD;
    if (method == 3 && memcmp(p, "PUT", 3) == 0 && path == 17 && memcmp(target, "/latest/api/token", 17) == 0)
        return HTTP_PUT_TOKEN;
    return HTTP_OTHER;
}

enum http_verb http_request(struct text bytes) {
    const char *whole = bytes.length >= 4 ? memmem(bytes.at, bytes.length, "\r\n\r\n", 4) : NULL;
    if (!whole)
        return HTTP_PARTIAL;
    const char *p = bytes.at, *last = whole + 2; /* behind the CRLF of the last line */
    const char *end = line_end(p, last);
    if (!end)
        return HTTP_BAD;
    enum http_verb verb = request_line(p, end);
    for (p = end + 2; verb != HTTP_BAD && p < last; p = end + 2) {
        end = line_end(p, last);
        if (!end || !header_line(p, end))
            return HTTP_BAD;
    }
    return verb;
}
