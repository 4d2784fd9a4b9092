/* Strict RFC 8259, without a tree: a value is its own text, and is walked where it stands. */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

static const char *skip_value(const char *p, const char *end, int depth);

static const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits at p; -1 if they are not. */
static int hex4(const char *p, const char *end) {
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* One character of a string's inside, at p: its code point or raw byte in *out, and where the next one
   is. NULL: malformed, a lone surrogate included. */
static const char *string_step(const char *p, const char *end, int *out, bool *escaped) {
    *escaped = false;
    *out = (unsigned char)*p++;
    if (*out < 0x20)
        return NULL;
    if (*out != '\\')
        return p;
    if (p == end)
        return NULL;
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *simple = *p ? strchr(from, *p) : NULL;
    *escaped = true;
    if (simple) {
        *out = to[simple - from];
        return p + 1;
    }
    int high = *p == 'u' ? hex4(p + 1, end) : -1;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return NULL;
    p += 5;
    *out = high;
    if (high < 0xd800 || high > 0xdbff)
        return p;
    int low = end - p >= 2 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2, end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return NULL;
    *out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return p + 6;
}

static const char *skip_string(const char *p, const char *end) {
    int character;
    bool escaped;
    p++;
    while (p && p < end && *p != '"')
        p = string_step(p, end, &character, &escaped);
    return p && p < end ? p + 1 : NULL;
}

static const char *skip_digits(const char *p, const char *end) {
    const char *start = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > start ? p : NULL;
}

static const char *skip_number(const char *p, const char *end) {
    if (p < end && *p == '-')
        p++;
    const char *integer = p;
    p = skip_digits(p, end);
    if (!p || (*integer == '0' && p - integer > 1))
        return NULL;
    if (p < end && *p == '.' && !(p = skip_digits(p + 1, end)))
        return NULL;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = skip_digits(p, end);
    }
    return p;
}

/* `p` is behind the opening bracket or a comma. */
static const char *skip_member(const char *p, const char *end, bool named, int depth, struct text *key,
                               struct text *value) {
    *key = (struct text){p, 0};
    if (named) {
        const char *after = p < end && *p == '"' ? skip_string(p, end) : NULL;
        if (!after)
            return NULL;
        key->length = (size_t)(after - p);
        p = skip_space(after, end);
        if (p == end || *p != ':')
            return NULL;
        p = skip_space(p + 1, end);
    }
    const char *after = skip_value(p, end, depth);
    if (after)
        *value = (struct text){p, (size_t)(after - p)};
    return after;
}

static const char *skip_container(const char *p, const char *end, int depth) {
    bool named = *p == '{';
    char close = named ? '}' : ']';
    struct text key, value;
    if (depth >= DEPTH_MAX)
        return NULL;
    p = skip_space(p + 1, end);
    if (p < end && *p == close)
        return p + 1;
    for (;;) {
        if (!(p = skip_member(p, end, named, depth + 1, &key, &value)))
            return NULL;
        p = skip_space(p, end);
        if (p == end)
            return NULL;
        if (*p == close)
            return p + 1;
        if (*p != ',')
            return NULL;
        p = skip_space(p + 1, end);
    }
}

static const char *skip_value(const char *p, const char *end, int depth) {
    static const char *const words[] = {"true", "false", "null"};
    if (p >= end)
        return NULL;
    if (*p == '{' || *p == '[')
        return skip_container(p, end, depth);
    if (*p == '"')
        return skip_string(p, end);
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(end - p) >= length && memcmp(p, words[i], length) == 0)
            return p + length;
    }
    return skip_number(p, end);
}

bool json_valid(struct text document) {
    const char *end = document.at + document.length;
    const char *p = skip_value(skip_space(document.at, end), end, 0);
    return p && skip_space(p, end) == end;
}

bool json_each(struct text container, size_t *cursor, struct text *key, struct text *value) {
    const char *end = container.at + container.length;
    const char *p = container.at ? skip_space(container.at, end) : end;
    if (p == end || (*p != '{' && *p != '['))
        return false;
    bool named = *p == '{';
    p = *cursor ? skip_space(container.at + *cursor, end) : p;
    if (p == end || (*cursor && *p != ','))
        return false;
    p = skip_space(p + 1, end);
    if (p == end || *p == '}' || *p == ']')
        return false;
    p = skip_member(p, end, named, 1, key, value);
    if (p)
        *cursor = (size_t)(p - container.at);
    return p != NULL;
}

struct text json_member(struct text object, const char *name) {
    struct text found = {NULL, 0}, key, value;
    size_t cursor = 0;
    while (json_each(object, &cursor, &key, &value)) {
        char *decoded = json_string(key);
        if (decoded && strcmp(decoded, name) == 0)
            found = value;
        free(decoded);
    }
    return found;
}

static size_t put_utf8(char *out, int c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

char *json_string(struct text value) {
    if (!value.at || value.length < 2 || value.at[0] != '"' || value.at[value.length - 1] != '"')
        return NULL;
    const char *p = value.at + 1, *end = value.at + value.length - 1;
    char *out = malloc(value.length); /* an escape is never shorter than what it stands for */
    size_t length = 0;
    while (out && p < end) {
        int character;
        bool escaped;
        p = string_step(p, end, &character, &escaped);
        if (!p || character == 0) {
            free(out);
            return NULL;
        }
        if (escaped)
            length += put_utf8(out + length, character);
        else
            out[length++] = (char)character;
    }
    if (out)
        out[length] = '\0';
    return out;
}

bool json_integer(struct text value, int64_t *out) {
    const char *p = value.at, *end = value.at + value.length;
    bool negative = p && p < end && *p == '-';
    if (!p || (p += negative) == end)
        return false;
    int64_t number = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *p - '0', &number))
            return false;
    }
    *out = negative ? -number : number;
    return true;
}

void json_quote(const char *text, char *out, size_t room) {
    char *end = out + room - 2; /* the closing quote and NUL */
    *out++ = '"';
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        if (end - out < (plain ? 1 : 7))
            break;
        if (plain)
            *out++ = (char)c;
        else
            out += snprintf(out, 7, "\\u%04x", c);
    }
    strcpy(out, "\"");
}

static int base64_digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

ssize_t base64_decode(struct text in, uint8_t *out, size_t room) {
    size_t length = 0;
    if (in.length % 4)
        return -1;
    for (size_t i = 0; i < in.length; i += 4) {
        bool last = i + 4 == in.length;
        int padding = !last || in.at[i + 3] != '=' ? 0 : in.at[i + 2] == '=' ? 2 : 1;
        int32_t group = 0;
        for (int k = 0; k < 4; k++) {
            int digit = k >= 4 - padding ? 0 : base64_digit(in.at[i + (size_t)k]);
            if (digit < 0)
                return -1;
            group = group << 6 | digit;
        }
        for (int k = 0; k < 3 - padding; k++) {
            if (length == room)
                return -1;
            out[length++] = (uint8_t)(group >> (16 - 8 * k));
        }
    }
    return (ssize_t)length;
}
