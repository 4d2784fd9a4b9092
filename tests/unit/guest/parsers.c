/* The agent's parsers behind a pipe, for tests: `parsers fuzz SEED COUNT` mutates a small corpus;
   `parsers serve` answers requests of u32 length (machine order), one byte which parser, and the input,
   each by u32 length and text. Inputs are heap copies of their exact size, so that a sanitizer sees
   any read outside. */
#include "agent.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 1 << 16 };

static char answer[ANSWER_MAX];

/* Writes a value again, without spaces and with its strings decoded, so that Python can compare. */
static void walk(struct text value, FILE *out) {
    struct text key, item;
    size_t cursor = 0;
    if (*value.at != '{' && *value.at != '[') {
        char *decoded = json_string(value);
        if (decoded)
            fprintf(out, "s%zu:%s", strlen(decoded), decoded);
        else
            fprintf(out, "v%.*s", (int)value.length, value.at);
        free(decoded);
        return;
    }
    fputc(*value.at, out);
    while (json_each(value, &cursor, &key, &item)) {
        if (key.length)
            walk(key, out);
        walk(item, out);
    }
    fputc(*value.at == '{' ? '}' : ']', out);
}

static void do_json(struct text in, FILE *out) {
    int64_t number;
    if (!json_valid(in)) {
        fputs("invalid", out);
        return;
    }
    while (strchr(" \t\r\n", *in.at))
        in.at++, in.length--;
    while (strchr(" \t\r\n", in.at[in.length - 1]))
        in.length--;
    json_integer(in, &number);
    json_member(in, "name");
    walk(in, out);
}

static void do_frame(struct text in, FILE *out) {
    struct frame frame;
    size_t taken = 0;
    while (taken < in.length) {
        enum frame_result result = frame_parse((struct text){in.at + taken, in.length - taken}, &frame);
        fputc("pwul"[result], out);
        if (result == FRAME_PARTIAL || result == FRAME_TOO_LONG)
            return;
        fprintf(out, "%c%zu", frame.type, frame.payload.length);
        for (size_t i = 0; i < frame.payload.length; i++)
            (void)*(volatile const char *)(frame.payload.at + i);
        taken += frame.size;
    }
}

static void do_arguments(struct text in, FILE *out) {
    struct arguments a;
    char problem[160], ip[32], gateway[32];
    char *line = strndup(in.at, in.length);
    if (!arguments_parse(line, &a, problem)) {
        fprintf(out, "refused: %s", problem);
    } else {
        inet_ntop(AF_INET, &a.address, ip, sizeof ip);
        inet_ntop(AF_INET, &a.gateway, gateway, sizeof gateway);
        fprintf(out, "token=%s ip=%s/%d gw=%s rw=%u", a.token, ip, a.prefix, gateway, a.rw_mib);
    }
    free(line);
}

static void do_base64(struct text in, FILE *out) {
    uint8_t decoded[4096];
    ssize_t length = base64_decode(in, decoded, sizeof decoded);
    fprintf(out, "%zd:", length);
    for (ssize_t i = 0; i < length; i++)
        fprintf(out, "%02x", decoded[i]);
}

static void do_quote(struct text in, FILE *out) {
    char quoted[256];
    char *text = strndup(in.at, in.length);
    json_quote(text, quoted, sizeof quoted);
    free(text);
    fputs(quoted, out);
}

/* The first two bytes are the port. */
static void do_listening(struct text in, FILE *out) {
    struct in_addr own;
    inet_pton(AF_INET, "169.254.0.2", &own);
    if (in.length < 2)
        return;
    uint16_t port = (uint16_t)((uint8_t)in.at[0] << 8 | (uint8_t)in.at[1]);
    fprintf(out, "%d", listening_in((struct text){in.at + 2, in.length - 2}, port, own));
}

static void parse(char which, struct text in, FILE *out) {
    switch (which) {
    case 'j':
        do_json(in, out);
        break;
    case 'f':
        do_frame(in, out);
        break;
    case 'h':
        fprintf(out, "%d", http_request(in));
        break;
    case 'c':
        do_arguments(in, out);
        break;
    case 'b':
        do_base64(in, out);
        break;
    case 'q':
        do_quote(in, out);
        break;
    default:
        do_listening(in, out);
    }
}

static void parse_copy(char which, const char *bytes, size_t length) {
    char *copy = malloc(length + (length == 0));
    FILE *out = fmemopen(answer, sizeof answer, "w");
    memcpy(copy, bytes, length);
    parse(which, (struct text){copy, length}, out);
    fclose(out);
    free(copy);
}

static int serve(void) {
    static char in[1 << 16];
    uint32_t length;
    char which;
    while (fread(&length, sizeof length, 1, stdin) == 1 && fread(&which, 1, 1, stdin) == 1 &&
           length <= sizeof in && (length == 0 || fread(in, length, 1, stdin) == 1)) {
        memset(answer, 0, sizeof answer);
        parse_copy(which, in, length);
        uint32_t told = (uint32_t)strlen(answer);
        fwrite(&told, sizeof told, 1, stdout);
        fwrite(answer, told, 1, stdout);
        fflush(stdout);
    }
    return 0;
}

static const struct {
    char which;
    const char *text;
} corpus[] = {
    {'j', "{\"metadata\":{\"token\":\"t\",\"env\":{\"A\":\"\\u00e9\\ud83d\\ude00\\n\"},\"port\":3000},\"user\":-1.5e+3}"},
    {'j', "[[[[{\"a\":[true,false,null,0,\"\"]}]]]]"},
    {'f', "\0\0\0\003Pabc\0\0\0\0W\0\0\0\001Zz"},
    {'h', "GET /latest/meta-data HTTP/1.1\r\nHost: 169.254.169.254\r\nAccept: application/json\r\n\r\n"},
    {'h', "PUT /latest/api/token HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: x\r\n\r\n"},
    {'c', "quiet aether_token=tok aether.ip=169.254.0.2/16 aether.gw=169.254.0.1 aether.rw_mib=64"},
    {'b', "AAECAwQFBgcICQ=="},
    {'q', "a\"\\\n\377"},
    {'l', "\013\270  0: 00000000:0BB8 00000000:0000 0A 0\n  1: 0200FEA9:0BB8 00000000:0000 0A\n"},
    {'l', "\013\270  0: 0000000000000000FFFF00000100007F:0BB8 00000000000000000000000000000000:0000 0A\n"},
};
static const size_t lengths[] = {0, 0, 20, 0, 0, 0, 0, 0, 0, 0};

static uint64_t random_state;

static size_t pick(size_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % below);
}

static size_t mutate(char *bytes, size_t length, size_t room) {
    static const char spice[] = "\"\\{}[],:0-.eEu \r\n\t/=\377\0";
    for (size_t changes = pick(6); changes > 0; changes--) {
        size_t at = pick(length + 1), span = 1 + pick(8);
        switch (pick(5)) {
        case 0: /* cut the end off */
            length = at;
            break;
        case 1: /* take a piece out */
            if (at + span <= length) {
                memmove(bytes + at, bytes + at + span, length - at - span);
                length -= span;
            }
            break;
        case 2: /* repeat a piece */
            if (at + span <= length && length + span <= room) {
                memmove(bytes + at + span, bytes + at, length - at);
                length += span;
            }
            break;
        case 3:
            if (at < length)
                bytes[at] = (char)pick(256);
            break;
        default:
            if (at < length)
                bytes[at] = spice[pick(sizeof spice)];
        }
    }
    return length;
}

static int fuzz(uint64_t seed, unsigned long count) {
    random_state = seed * 0x9e3779b97f4a7c15u | 1;
    for (unsigned long i = 0; i < count; i++) {
        char bytes[1024];
        size_t entry = pick(sizeof corpus / sizeof *corpus);
        size_t length = lengths[entry] ? lengths[entry] : strlen(corpus[entry].text);
        memcpy(bytes, corpus[entry].text, length);
        length = mutate(bytes, length, sizeof bytes);
        parse_copy(corpus[entry].which, bytes, length);
    }
    printf("%lu inputs\n", count);
    return 0;
}

int main(int count, char **values) {
    if (count == 4 && strcmp(values[1], "fuzz") == 0)
        return fuzz(strtoull(values[2], NULL, 10), strtoul(values[3], NULL, 10));
    if (count == 2 && strcmp(values[1], "serve") == 0)
        return serve();
    return 2;
}
