/* `aether-env CMD…`: the metadata's `env` exported, its token checked, then CMD. */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_MAX = (1 << 20) + 8192, PATIENCE_MS = 5000 };

static char answer[ANSWER_MAX];

static int fail(const char *why) {
    fprintf(stderr, "aether-env: %s\n", why);
    return 1;
}

static int dial(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(METADATA_PORT)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    inet_pton(AF_INET, METADATA_ADDRESS, &address.sin_addr);
    for (int64_t until = now_ms() + PATIENCE_MS; now_ms() < until; sleep_ms(10)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -1;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        close(fd);
    }
    return -1;
}

/* Reads until the server closes, or what Content-Length said is there. */
static size_t read_answer(int fd) {
    size_t length = 0, wanted = ANSWER_MAX - 1;
    ssize_t n;
    while (length < wanted && (n = read(fd, answer + length, wanted - length)) > 0) {
        length += (size_t)n;
        answer[length] = '\0';
        const char *body = strstr(answer, "\r\n\r\n");
        const char *header = body ? strcasestr(answer, "\r\ncontent-length:") : NULL;
        if (header && header < body) {
            size_t whole = (size_t)(body + 4 - answer) + strtoul(header + 17, NULL, 10);
            wanted = whole < wanted ? whole : wanted;
        }
    }
    answer[length] = '\0';
    return length;
}

/* The status; *body points into `answer`. 0: no HTTP answer. */
static int ask(const char *request, char **body) {
    int fd = dial();
    if (fd < 0 || !write_all(fd, request, strlen(request))) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    read_answer(fd);
    close(fd);
    *body = strstr(answer, "\r\n\r\n");
    if (!*body || strncmp(answer, "HTTP/1.", 7) != 0 || strlen(answer) < 12)
        return 0;
    *body += 4;
    return atoi(answer + 9);
}

#define GET_HEAD "GET / HTTP/1.1\r\nHost: " METADATA_ADDRESS "\r\nAccept: application/json\r\nConnection: close\r\n"

/* MMDS version 1 answers a plain GET; version 2 answers 401 to it, and wants a session token first. */
static int fetch(char **body) {
    char request[512];
    int status = ask(GET_HEAD "\r\n", body);
    if (status != 401)
        return status;
    status = ask("PUT /latest/api/token HTTP/1.1\r\nHost: " METADATA_ADDRESS
                 "\r\nX-metadata-token-ttl-seconds: 60\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                 body);
    if (status != 200)
        return status;
    (*body)[strcspn(*body, "\r\n")] = '\0';
    snprintf(request, sizeof request, GET_HEAD "X-metadata-token: %.256s\r\n\r\n", *body);
    return ask(request, body);
}

static bool token_matches(struct text metadata) {
    char line[8192], problem[160];
    struct arguments arguments;
    char *token = json_string(json_member(metadata, "token"));
    bool matches = token && read_file("/proc/cmdline", line, sizeof line) > 0 &&
                   arguments_parse(line, &arguments, problem) && arguments.token[0] &&
                   strcmp(token, arguments.token) == 0;
    free(token);
    return matches;
}

static bool export_all(struct text env) {
    struct text key, value;
    size_t cursor = 0;
    bool good = true;
    while (good && json_each(env, &cursor, &key, &value)) {
        char *name = json_string(key), *content = json_string(value);
        good = name && content && setenv(name, content, 1) == 0;
        free(name);
        free(content);
    }
    return good;
}

int env_main(char **command) {
    char *body = NULL;
    if (!command[0])
        return fail("say which command to run: aether-env CMD…");
    int status = fetch(&body);
    if (status == 0)
        return fail("no answer from http://" METADATA_ADDRESS "/");
    struct text metadata = {body, strlen(body)};
    if (status != 200 || !json_valid(metadata) || *metadata.at != '{')
        return fail("http://" METADATA_ADDRESS "/ gave no metadata");
    if (!token_matches(metadata))
        return fail("the metadata's token does not match the kernel argument aether_token");
    if (!export_all(json_member(metadata, "env")))
        return fail("the metadata's env holds something that can't be an environment variable");
    execvp(command[0], command);
    fprintf(stderr, "aether-env: %s: %s\n", command[0], strerror(errno));
    return 1;
}
