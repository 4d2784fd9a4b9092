/* Kernel arguments: aether_token=, aether.ip=A.B.C.D/P, aether.gw=A.B.C.D, aether.rw_mib=N. */
#include "agent.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_number(const char *text, unsigned low, unsigned high, unsigned *out) {
    unsigned value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > high)
            return false;
        value = value * 10 + (unsigned)(*text - '0');
    }
    *out = value;
    return value >= low && value <= high;
}

static bool parse_address(char *text, struct arguments *out) {
    char *slash = strchr(text, '/');
    unsigned prefix;
    if (!slash || !parse_number(slash + 1, 1, 32, &prefix))
        return false;
    *slash = '\0';
    out->prefix = (int)prefix;
    return inet_pton(AF_INET, text, &out->address) == 1;
}

/* `word` is one argument, and may be written to. */
static bool take(char *word, struct arguments *out) {
    char *value = strchr(word, '=');
    if (!value)
        return true;
    *value++ = '\0';
    if (strcmp(word, "aether_token") == 0) {
        size_t length = strlen(value);
        if (length == 0 || length >= sizeof out->token)
            return false;
        memcpy(out->token, value, length + 1);
        return true;
    }
    if (strcmp(word, "aether.ip") == 0)
        return parse_address(value, out);
    if (strcmp(word, "aether.gw") == 0)
        return inet_pton(AF_INET, value, &out->gateway) == 1;
    if (strcmp(word, "aether.rw_mib") == 0)
        return parse_number(value, 1, 1 << 20, &out->rw_mib);
    return true;
}

bool arguments_parse(const char *line, struct arguments *out, char problem[160]) {
    memset(out, 0, sizeof *out);
    while (*line) {
        size_t length = strcspn(line, " \t\n");
        char word[256];
        if (strncmp(line, "aether", 6) == 0) {
            bool fits = length < sizeof word;
            size_t kept = fits ? length : sizeof word - 1;
            memcpy(word, line, kept);
            word[kept] = '\0';
            if (!fits || !take(word, out)) {
                snprintf(problem, 160, "the kernel argument %.40s can't be read", word);
                return false;
            }
        }
        line += length;
        line += strspn(line, " \t\n");
    }
    return true;
}
