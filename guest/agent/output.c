/* Whole lines out of the function's pipes. */
#include "agent.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { UNFINISHED_MS = 1000, TURN_BYTES = 64 * 1024 };

/* What runtimes print before they abort for lack of memory: V8; C++; Rust. */
static const char *const starved_words[] = {"out of memory", "std::bad_alloc", "memory allocation of "};
static bool starved;

bool output_tells_starved(void) { return starved; }

static void give_line(char name, const char *text, size_t length) {
    for (size_t i = 0; name == '2' && !starved && i < sizeof starved_words / sizeof *starved_words; i++)
        starved = memmem(text, length, starved_words[i], strlen(starved_words[i])) != NULL;
    channel_line(name, text, length);
}

void stream_open(struct stream *stream, int fd, char name) {
    stream->fd = fd;
    stream->name = name;
    stream->length = 0;
}

/* A line without an end, because it is long, late, or the last. */
void stream_flush(struct stream *stream) {
    if (stream->length > 0)
        give_line(stream->name, stream->bytes, stream->length);
    stream->length = 0;
}

static void split(struct stream *stream, int64_t now) {
    size_t start = 0;
    const char *newline;
    while ((newline = memchr(stream->bytes + start, '\n', stream->length - start))) {
        size_t end = (size_t)(newline - stream->bytes);
        give_line(stream->name, stream->bytes + start, end - start);
        start = end + 1;
        stream->since_ms = now;
    }
    memmove(stream->bytes, stream->bytes + start, stream->length - start);
    stream->length -= start;
    if (stream->length == sizeof stream->bytes)
        stream_flush(stream);
}

void stream_read(struct stream *stream, int64_t now) {
    for (size_t total = 0; stream->fd >= 0 && total < TURN_BYTES && channel_has_room();) {
        ssize_t n = read(stream->fd, stream->bytes + stream->length, sizeof stream->bytes - stream->length);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            stream_flush(stream);
            close(stream->fd);
            stream->fd = -1;
            return;
        }
        if (stream->length == 0)
            stream->since_ms = now;
        stream->length += (size_t)n;
        total += (size_t)n;
        split(stream, now);
    }
}

int64_t stream_deadline(const struct stream *stream) {
    return stream->length > 0 ? stream->since_ms + UNFINISHED_MS : INT64_MAX;
}
