/* What the parts of the agent share. One process, one thread, one loop (main.c). */
#ifndef AETHER_AGENT_H
#define AETHER_AGENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AGENT_VERSION "0.1.0"
#define METADATA_ADDRESS "169.254.169.254"
#define METADATA_PORT 80

/* ---- text.c: slices, the clock, lines on the console ---- */

/* Bytes that belong to somebody else; `at` is NULL where there is nothing. */
struct text {
    const char *at;
    size_t length;
};

int64_t now_ms(void);    /* monotonic */
int64_t uptime_ms(void); /* since the kernel started */
void sleep_ms(int milliseconds);

/* One clear line on the console, prefixed by `aether-agent: `. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The whole of a small file, NUL-terminated; its length, or -1. Longer files are cut to `room - 1`. */
ssize_t read_file(const char *path, char *out, size_t room);
bool write_file(const char *path, const char *content);
bool write_all(int fd, const void *bytes, size_t length);
const char *signal_name(int number); /* `SIGKILL`, or `signal 42` */

/* ---- cmdline.c: kernel arguments ---- */

struct arguments {
    char token[129];
    struct in_addr address; /* eth0's own; 0: no network is set up */
    int prefix;
    struct in_addr gateway; /* 0: none */
    unsigned rw_mib;        /* 0: half of memory */
};

/* False, with a message in `problem`, when an argument of ours can't be read. */
bool arguments_parse(const char *line, struct arguments *out, char problem[160]);

/* ---- json.c: strict RFC 8259, without a tree ---- */

bool json_valid(struct text document);
/* The last member of that name; `at` is NULL if there is none, or `object` is no object. */
struct text json_member(struct text object, const char *name);
/* Walks an object or array from *cursor (0 at first). `key` is the raw string, quotes included, or empty. */
bool json_each(struct text container, size_t *cursor, struct text *key, struct text *value);
/* Decoded, allocated, NUL-terminated; NULL when it is no string, or holds a NUL. */
char *json_string(struct text value);
bool json_integer(struct text value, int64_t *out);
/* `text` as a JSON string with its quotes, cut to fit `room` (at least 3). Bytes over 0x7e are escaped. */
void json_quote(const char *text, char *out, size_t room);
/* Standard base64 with padding; the decoded length, or -1. */
ssize_t base64_decode(struct text in, uint8_t *out, size_t room);

/* ---- frame.c: the control channel's frames ---- */

enum { FRAME_HEADER = 5, FRAME_MAX = 1 << 20 };

enum frame_result { FRAME_PARTIAL, FRAME_WHOLE, FRAME_UNKNOWN, FRAME_TOO_LONG };

struct frame {
    char type;
    struct text payload;
    size_t size; /* with its header */
};

/* Looks at the first frame in `bytes`. Where it is unknown, `size` still says what to skip. */
enum frame_result frame_parse(struct text bytes, struct frame *out);
void frame_header(uint8_t out[FRAME_HEADER], char type, size_t length);

/* ---- channel.c: the control channel ---- */

enum { LINE_MAX_BYTES = 16 * 1024, BACKLOG_BYTES = 64 * 1024 };

bool channel_open_port(const char *name, int patience_ms);
bool channel_listen(const char *path);
int channel_fd(void);       /* -1 when there is none now */
int channel_listener(void); /* -1 for a virtio port */
void channel_accept(void);
bool channel_connected(void);
bool channel_pending(void); /* bytes wait to be written */
bool channel_has_room(void);
/* Looks whether the host is there. True when it has just come. */
bool channel_refresh(void);
/* The next whole frame, valid until the next call; reads as much as there is. */
bool channel_next(struct frame *out);
int64_t channel_deadline(void); /* when a half-read frame is given up; INT64_MAX if there is none */
void channel_expire(int64_t now);
void channel_send(char type, const char *payload, size_t length);
void channel_line(char stream, const char *text, size_t length);
void channel_flush(void);
/* A line of the agent's own, for the function's log. */
void channel_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- http.c, metadata.c: the metadata service ---- */

enum http_verb { HTTP_PARTIAL, HTTP_BAD, HTTP_GET, HTTP_HEAD, HTTP_PUT_TOKEN, HTTP_OTHER };

/* Reads one request head. HTTP_PARTIAL: more bytes are needed. */
enum http_verb http_request(struct text bytes);

enum { METADATA_CONNECTIONS = 16 };

bool metadata_listen(void);
int metadata_listener(void);
int metadata_fd(int slot); /* -1: free */
bool metadata_wants_write(int slot);
int64_t metadata_deadline(int slot);
void metadata_accept(int64_t now);
void metadata_serve(int slot, int64_t now);

/* ---- order.c: what to run, from an `M` frame ---- */

struct order {
    char **command;
    char **environment;
    uid_t user;
    gid_t group;
    uint16_t port;
    char *instance_id;
    char *function_id;
    char *token;
    char *members; /* of the metadata, without the token: `"env":{…},…`, or empty */
};

bool order_parse(struct text json, struct order *out, char problem[160]);
void order_free(struct order *order);
/* What http://169.254.169.254/ serves, in two parts. */
void order_document(const struct order *order, char head[1024], struct text *tail);
/* From an `I` frame: the clock, the kernel's entropy, the new names. */
bool order_identity(struct order *order, struct text json, char problem[160]);

/* ---- netcfg.c ---- */

bool net_loopback(void);
bool net_eth0(const struct arguments *arguments, char problem[160]);

/* ---- boot.c: from the kernel's first instruction of ours to the function's root ---- */

/* proc, sys, dev, modules. What fails is said on the console. */
bool boot_early(char problem[160]);
/* Mounts the root and the code, and makes them ours. */
bool boot_root(const struct arguments *arguments, char problem[160]);
void boot_reboot(void) __attribute__((noreturn));

/* ---- function.c: the function's process ---- */

struct function {
    pid_t pid; /* also its process group; 0: none */
    int out, err;
    long oom_kills; /* the kernel's count when it started */
};

bool function_start(const struct order *order, const char *root, struct function *out, char problem[160]);
long oom_kill_count(void);

/* ---- output.c: whole lines out of pipes ---- */

struct stream {
    int fd; /* -1: ended */
    char name;
    size_t length;
    int64_t since_ms; /* when the unfinished line began */
    char bytes[LINE_MAX_BYTES];
};

void stream_open(struct stream *stream, int fd, char name);
void stream_read(struct stream *stream, int64_t now);
void stream_flush(struct stream *stream);
int64_t stream_deadline(const struct stream *stream);
bool output_tells_starved(void); /* the function wrote on stderr that it had no memory left */

/* ---- ready.c ---- */

enum listening { LISTENS_NOT, LISTENS_LOOPBACK, LISTENS };

/* What /proc/net/tcp or tcp6 says of a port. */
enum listening listening_in(struct text table, uint16_t port, struct in_addr own);
enum listening listening_on(uint16_t port, struct in_addr own);

/* ---- env.c, loop.c ---- */

int env_main(char **command);
/* `real`: this is the guest's own PID 1, and its end is the guest's. */
void loop_prepare(bool real);
/* Says hello as soon as the host is there. */
void loop_greet(void);
void loop_run(const struct arguments *arguments, const char *root) __attribute__((noreturn));
/* Says it on the console, tells the host, and ends. */
void loop_fail(const char *reason, const char *detail) __attribute__((noreturn));

#endif
