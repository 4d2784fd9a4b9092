/* The control channel: a virtio port, or a listening socket that takes one host at a time.

   A virtio port is open all the time, and the host comes and goes: POLLHUP says it is away. Frames
   wait in `out` from a frame's start; `sent` bytes of it are written. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OUT_ROOM = BACKLOG_BYTES + 2 * (FRAME_HEADER + 1 + LINE_MAX_BYTES), PARTIAL_PATIENCE_MS = 1000 };

static int port = -1, listener = -1;
static bool connected, deaf;
static char in[FRAME_HEADER + FRAME_MAX];
static size_t in_length, in_taken;
static int64_t in_since_ms;
static char out[OUT_ROOM];
static size_t out_length, out_sent;
static unsigned long lost_lines;

int channel_fd(void) { return port; }
int channel_listener(void) { return listener; }
bool channel_connected(void) { return connected; }
bool channel_pending(void) { return connected && out_sent < out_length; }
bool channel_has_room(void) { return !connected || out_length - out_sent < BACKLOG_BYTES; }

static bool open_named(const char *entry, const char *name) {
    char path[300], found[64];
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry);
    if (read_file(path, found, sizeof found) < 0)
        return false;
    found[strcspn(found, "\n")] = '\0';
    if (strcmp(found, name) != 0)
        return false;
    snprintf(path, sizeof path, "/dev/%s", entry);
    port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return port >= 0;
}

/* The port shows some time after its driver is there. */
bool channel_open_port(const char *name, int patience_ms) {
    for (int waited = 0; waited <= patience_ms; waited += 2) {
        DIR *ports = opendir("/sys/class/virtio-ports");
        for (struct dirent *entry; ports && port < 0 && (entry = readdir(ports));)
            if (entry->d_name[0] != '.')
                open_named(entry->d_name, name);
        if (ports)
            closedir(ports);
        if (port >= 0)
            return true;
        sleep_ms(2);
    }
    return false;
}

bool channel_listen(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return false;
    strcpy(address.sun_path, path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
           listen(listener, 4) == 0;
}

static size_t frame_size_at(size_t at) {
    const uint8_t *p = (const uint8_t *)out + at;
    return FRAME_HEADER + ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
}

/* Takes away what is wholly written, so that `out` starts with a frame again. */
static void compact(void) {
    size_t done = 0;
    while (done < out_length && done + frame_size_at(done) <= out_sent)
        done += frame_size_at(done);
    memmove(out, out + done, out_length - done);
    out_length -= done;
    out_sent -= done;
}

/* Of what wasn't written, keeps whole log lines for the next host: the rest was for this one. */
static void disconnect(void) {
    connected = deaf = false;
    in_length = in_taken = 0;
    compact();
    size_t at = out_sent > 0 ? frame_size_at(0) : 0, kept = 0;
    out_sent = 0;
    while (at < out_length) {
        size_t size = frame_size_at(at);
        if (out[at + 4] == 'L') {
            memmove(out + kept, out + at, size);
            kept += size;
        }
        at += size;
    }
    out_length = kept;
    if (listener >= 0 && port >= 0) {
        close(port);
        port = -1;
    }
}

void channel_accept(void) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    disconnect();
    port = fd;
}

/* Before the lines that were kept. */
static void tell_loss(void) {
    char told[FRAME_HEADER + 128];
    size_t before = out_length;
    channel_say("%lu lines were dropped: nobody was connected to take them", lost_lines);
    lost_lines = 0;
    size_t size = out_length - before;
    memcpy(told, out + before, size);
    memmove(out + size, out, before);
    memcpy(out, told, size);
}

bool channel_refresh(void) {
    struct pollfd poller = {port, POLLIN | POLLOUT, 0};
    if (port < 0 || poll(&poller, 1, 0) < 0)
        return false;
    if (poller.revents & POLLHUP && (connected || listener < 0))
        return false; /* what it left is read first, up to the end of file */
    bool came = !connected;
    connected = true;
    if (came && lost_lines)
        tell_loss();
    return came;
}

/* False: the host has gone. */
static bool fill(void) {
    memmove(in, in + in_taken, in_length - in_taken);
    in_length -= in_taken;
    in_taken = 0;
    while (in_length < sizeof in) {
        ssize_t n = read(port, in + in_length, sizeof in - in_length);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        in_since_ms = now_ms();
        in_length = deaf ? 0 : in_length + (size_t)n;
    }
    return true;
}

bool channel_next(struct frame *frame) {
    for (bool gone = false;;) {
        struct text bytes = {in + in_taken, in_length - in_taken};
        switch (frame_parse(bytes, frame)) {
        case FRAME_WHOLE:
            in_taken += frame->size;
            return true;
        case FRAME_UNKNOWN:
            channel_say("skipped a control frame of unknown type 0x%02x", (unsigned char)frame->type);
            in_taken += frame->size;
            continue;
        case FRAME_TOO_LONG:
            channel_say("a control frame is over the limit: deaf until the host connects again");
            deaf = true;
            in_length = in_taken = 0;
            continue;
        case FRAME_PARTIAL:
            break;
        }
        if (gone) {
            disconnect();
            return false;
        }
        size_t before = in_length - in_taken;
        gone = !fill();
        if (!gone && in_length == before)
            return false;
    }
}

int64_t channel_deadline(void) {
    return in_length > in_taken ? in_since_ms + PARTIAL_PATIENCE_MS : INT64_MAX;
}

void channel_expire(int64_t now) {
    if (now < channel_deadline())
        return;
    in_length = in_taken = 0;
    channel_say("dropped half a control frame: the rest never came");
}

/* Makes room by dropping the oldest lines; only while nobody is connected is everything here a line. */
static bool make_room(size_t size) {
    compact();
    while (!connected && out_length > 0 && out_length + size > BACKLOG_BYTES) {
        size_t oldest = frame_size_at(0);
        memmove(out, out + oldest, out_length - oldest);
        out_length -= oldest;
        lost_lines++;
    }
    return out_length + size <= OUT_ROOM;
}

static void put(char type, const char *first, size_t first_length, const char *rest, size_t rest_length) {
    size_t length = first_length + rest_length;
    if (!connected && type != 'L')
        return;
    if (!make_room(FRAME_HEADER + length)) {
        lost_lines += type == 'L';
        return;
    }
    frame_header((uint8_t *)out + out_length, type, length);
    out_length += FRAME_HEADER;
    memcpy(out + out_length, first, first_length);
    memcpy(out + out_length + first_length, rest, rest_length);
    out_length += length;
}

void channel_send(char type, const char *payload, size_t length) { put(type, payload, length, "", 0); }

void channel_line(char stream, const char *text, size_t length) { put('L', &stream, 1, text, length); }

void channel_say(const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    channel_line('a', line, strlen(line));
}

void channel_flush(void) {
    while (channel_pending()) {
        ssize_t n = write(port, out + out_sent, out_length - out_sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            disconnect();
        if (n <= 0)
            return;
        out_sent += (size_t)n;
    }
    if (connected)
        out_length = out_sent = 0;
}
