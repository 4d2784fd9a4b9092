/* Whether somebody listens on the function's port, by /proc/net/tcp and tcp6. */
#include "agent.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* `digits` hex digits at p, as a number; false if they are not all there. */
static bool hex(const char *p, const char *end, int digits, uint32_t *out) {
    *out = 0;
    if (end - p < digits)
        return false;
    for (int i = 0; i < digits; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (c >= 'A' && c <= 'F')
            *out = *out << 4 | (uint32_t)(c - 'A' + 10);
        else
            return false;
    }
    return true;
}

/* The kernel prints addresses as 32-bit words in the machine's own order. */
static enum listening reach(const uint32_t words[4], int count, struct in_addr own) {
    uint32_t last = words[count - 1];
    if (count == 4 && (words[0] || words[1] || (words[2] && words[2] != htonl(0xffff))))
        return LISTENS_NOT; /* some other IPv6 address */
    if (last == 0)
        return LISTENS;
    bool v4 = count == 1 || words[2];
    if (v4 && own.s_addr && last == own.s_addr)
        return LISTENS;
    if (v4 ? (ntohl(last) >> 24) == 127 : last == htonl(1))
        return LISTENS_LOOPBACK;
    return LISTENS_NOT;
}

/* `  0: 00000000:0BB8 00000000:0000 0A …`: local address and port, remote, state (0A: LISTEN). */
static enum listening row(const char *p, const char *end, uint16_t port, struct in_addr own) {
    uint32_t words[4], number, state;
    const char *colon = memchr(p, ':', (size_t)(end - p));
    if (!colon || end - colon < 2)
        return LISTENS_NOT;
    p = colon + 2;
    const char *second = memchr(p, ':', (size_t)(end - p));
    int count = second ? (int)(second - p) / 8 : 0;
    if ((count != 1 && count != 4) || second - p != count * 8)
        return LISTENS_NOT;
    for (int i = 0; i < count; i++)
        if (!hex(p + i * 8, end, 8, &words[i]))
            return LISTENS_NOT;
    p = second + 1;
    if (!hex(p, end, 4, &number) || number != port || end - p < 6 + count * 8 + 6)
        return LISTENS_NOT;
    p += 4 + 1 + count * 8 + 1 + 4 + 1;
    if (!hex(p, end, 2, &state) || state != 0x0a)
        return LISTENS_NOT;
    return reach(words, count, own);
}

enum listening listening_in(struct text table, uint16_t port, struct in_addr own) {
    const char *p = table.at, *end = table.at + table.length;
    enum listening best = LISTENS_NOT;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline ? newline : end;
        enum listening found = row(p, stop, port, own);
        if (found > best)
            best = found;
        p = stop + 1;
    }
    return best;
}

enum listening listening_on(uint16_t port, struct in_addr own) {
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    enum listening best = LISTENS_NOT;
    for (int i = 0; i < 2 && best != LISTENS; i++) {
        static char table[32768]; /* listeners come first */
        ssize_t length = read_file(tables[i], table, sizeof table);
        if (length <= 0)
            continue;
        enum listening found = listening_in((struct text){table, (size_t)length}, port, own);
        if (found > best)
            best = found;
    }
    return best;
}
