/* The metadata service at 169.254.169.254:80, for this guest alone: one request per connection. */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 4096, PATIENCE_MS = 5000 };

struct connection {
    bool used;
    int fd;
    int64_t deadline;
    size_t length; /* of the request so far */
    char request[HEAD_MAX];
    char *answer; /* NULL: still reading */
    size_t answer_length, sent;
};

static int listener = -1;
static struct connection connections[METADATA_CONNECTIONS];
extern struct order loop_order; /* loop.c: what is served */

int metadata_listener(void) { return listener; }
int metadata_fd(int slot) { return connections[slot].used ? connections[slot].fd : -1; }
bool metadata_wants_write(int slot) { return connections[slot].answer != NULL; }
int64_t metadata_deadline(int slot) {
    return connections[slot].used ? connections[slot].deadline : INT64_MAX;
}

bool metadata_listen(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(METADATA_PORT)};
    inet_pton(AF_INET, METADATA_ADDRESS, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, METADATA_CONNECTIONS) != 0) {
        close(fd);
        return false;
    }
    listener = fd;
    return true;
}

static void drop(struct connection *c) {
    close(c->fd);
    free(c->answer);
    memset(c, 0, offsetof(struct connection, request));
    c->answer = NULL;
}

static void answer(struct connection *c, const char *status, const char *type, struct text first,
                   struct text second, bool with_body) {
    size_t body = first.length + second.length;
    c->answer = malloc(256 + body);
    if (!c->answer)
        return;
    int head = snprintf(c->answer, 256,
                        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                        status, type, body);
    c->answer_length = (size_t)head;
    if (with_body) {
        memcpy(c->answer + head, first.at, first.length);
        memcpy(c->answer + (size_t)head + first.length, second.at, second.length);
        c->answer_length += body;
    }
    c->sent = 0;
}

static void choose_answer(struct connection *c, enum http_verb verb) {
    char document[1024];
    struct text tail, none = {"", 0};
    if (verb == HTTP_GET || verb == HTTP_HEAD) {
        order_document(&loop_order, document, &tail);
        answer(c, "200 OK", "application/json", (struct text){document, strlen(document)}, tail,
               verb == HTTP_GET);
    } else if (verb == HTTP_PUT_TOKEN) {
        /* MMDS version 2 asks for a session token first. Any will do: the service is this guest's own. */
        answer(c, "200 OK", "text/plain", (struct text){"aether", 6}, none, true);
    } else if (verb == HTTP_BAD) {
        answer(c, "400 Bad Request", "text/plain", none, none, true);
    } else {
        answer(c, "405 Method Not Allowed", "text/plain", none, none, true);
    }
}

void metadata_accept(int64_t now) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *oldest = NULL;
    for (int i = 0; i < METADATA_CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (!oldest || !c->used || (oldest->used && c->deadline < oldest->deadline))
            oldest = c;
    }
    if (oldest->used)
        drop(oldest);
    oldest->used = true;
    oldest->fd = fd;
    oldest->deadline = now + PATIENCE_MS;
}

/* Reads until the head is whole. False: the connection is over. */
static bool read_request(struct connection *c) {
    ssize_t n = read(c->fd, c->request + c->length, sizeof c->request - c->length);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    c->length += (size_t)n;
    enum http_verb verb = http_request((struct text){c->request, c->length});
    if (verb == HTTP_PARTIAL && c->length == sizeof c->request)
        verb = HTTP_BAD;
    if (verb != HTTP_PARTIAL)
        choose_answer(c, verb);
    return verb == HTTP_PARTIAL || c->answer;
}

static bool write_answer(struct connection *c) {
    ssize_t n = send(c->fd, c->answer + c->sent, c->answer_length - c->sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    c->sent += n > 0 ? (size_t)n : 0;
    return n > 0 && c->sent < c->answer_length;
}

void metadata_serve(int slot, int64_t now) {
    struct connection *c = &connections[slot];
    if (!c->used)
        return;
    bool open = now < c->deadline && (c->answer || read_request(c));
    if (open && c->answer)
        open = write_answer(c);
    if (!open)
        drop(c);
}
