/* Frames of the control channel: u32 big-endian payload length, one byte type, payload. */
#include "agent.h"

#include <string.h>

enum frame_result frame_parse(struct text bytes, struct frame *out) {
    const uint8_t *p = (const uint8_t *)bytes.at;
    if (bytes.length < FRAME_HEADER)
        return FRAME_PARTIAL;
    size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    out->type = (char)p[4];
    out->size = FRAME_HEADER + length;
    if (length > FRAME_MAX)
        return FRAME_TOO_LONG;
    if (bytes.length < out->size)
        return FRAME_PARTIAL;
    out->payload = (struct text){bytes.at + FRAME_HEADER, length};
    return out->type && strchr("MITPW", out->type) ? FRAME_WHOLE : FRAME_UNKNOWN;
}

void frame_header(uint8_t out[FRAME_HEADER], char type, size_t length) {
    out[0] = (uint8_t)(length >> 24);
    out[1] = (uint8_t)(length >> 16);
    out[2] = (uint8_t)(length >> 8);
    out[3] = (uint8_t)length;
    out[4] = (uint8_t)type;
}
