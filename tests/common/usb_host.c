// SPDX-License-Identifier: Apache-2.0

#include "usb_host.h"

#include <assert.h>
#include <string.h>

enum {
    FRACTION = 65536,  // of a sample
    REST_BITS = 3,     // between packets of the host
    WAIT_BITS = 18,    // for an answer
    EARLIEST = 9,      // samples behind the host\'s packet: 2 bit times, less one of sampling
    LATEST = 33,       // 6.5 bit times, likewise
    LONGEST = 12000,   // samples of a packet of the device, and more
    SYMBOLS_MAX = 8 + TP_USB_HOST_BYTES_MAX * 10 + 16,
    TRIES = 3,
    NAKS = 1000
};

void tp_usb_host_init(struct tp_usb_host *host,
                      enum tp_usb_line (*sample)(void *context, enum tp_usb_line drive),
                      void *context, uint64_t seed)
{
    memset(host, 0, sizeof *host);
    host->sample = sample;
    host->context = context;
    tp_random_init(&host->random, seed, 0x05B);
}

static enum tp_usb_line pass(struct tp_usb_host *host, enum tp_usb_line drive)
{
    host->samples++;
    return host->sample(host->context, drive);
}

void tp_usb_host_hold(struct tp_usb_host *host, enum tp_usb_line line, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) (void)pass(host, line);
}

static void rest(struct tp_usb_host *host, uint32_t bits)
{
    tp_usb_host_hold(host, TP_USB_LINE_RELEASED, bits * TP_USB_HOST_SAMPLES);
}

void tp_usb_host_reset(struct tp_usb_host *host, uint32_t samples)
{
    tp_usb_host_hold(host, TP_USB_LINE_SE0, samples);
    host->address = 0;
    memset(host->toggle_out, 0, sizeof host->toggle_out);
    memset(host->toggle_in, 0, sizeof host->toggle_in);
    rest(host, 10);
}

// ---- a packet of the host ----

// The levels of the bit times of a packet.
struct symbols {
    uint8_t line[SYMBOLS_MAX];
    uint32_t count;
    uint32_t ones;
    enum tp_usb_line level;
};

static void put(struct symbols *symbols, enum tp_usb_line line)
{
    assert(symbols->count < SYMBOLS_MAX);
    symbols->line[symbols->count++] = (uint8_t)line;
}

static void put_bit(struct symbols *symbols, bool one)
{
    if (!one) symbols->level = symbols->level == TP_USB_LINE_J ? TP_USB_LINE_K : TP_USB_LINE_J;
    put(symbols, symbols->level);
    symbols->ones = one ? symbols->ones + 1 : 0;
}

static void put_stuffed(struct symbols *symbols, bool one)
{
    put_bit(symbols, one);
    if (symbols->ones == 6) put_bit(symbols, false);
}

// Whether the fault is for this packet; it is then forgotten.
static enum tp_usb_spoil spoil_of(struct tp_usb_host *host)
{
    enum tp_usb_spoil spoil = host->spoil;
    if (spoil != TP_USB_SPOIL_NOTHING && host->spoil_after != 0) {
        host->spoil_after--;
        return TP_USB_SPOIL_NOTHING;
    }
    host->spoil = TP_USB_SPOIL_NOTHING;
    return spoil;
}

static void draw(struct tp_usb_host *host, struct symbols *symbols, const uint8_t *bytes,
                 uint32_t count)
{
    enum tp_usb_spoil spoil = spoil_of(host);
    uint32_t place = host->spoil_place;
    symbols->level = TP_USB_LINE_J;
    symbols->count = 0;
    symbols->ones = 0;
    for (uint32_t i = 0; i < 8; i++) put_stuffed(symbols, i == 7);
    if (spoil == TP_USB_SPOIL_SYNC) {
        memmove(symbols->line, symbols->line + place, symbols->count - place);
        symbols->count -= place;
    }
    for (uint32_t i = 0; i < 8 * count; i++) {
        bool one = bytes[i / 8] >> (i % 8) & 1;
        if (i == place && (spoil == TP_USB_SPOIL_CUT || spoil == TP_USB_SPOIL_SILENCE)) break;
        if (i == place && spoil == TP_USB_SPOIL_STUFF) {
            for (int n = 0; n < 8; n++) put(symbols, symbols->level);
        }
        put_stuffed(symbols, one != (i == place && spoil == TP_USB_SPOIL_FLIP));
    }
    if (spoil == TP_USB_SPOIL_DRIBBLE) put(symbols, symbols->level);
    if (spoil == TP_USB_SPOIL_SILENCE) return;
    put(symbols, TP_USB_LINE_SE0);
    put(symbols, TP_USB_LINE_SE0);
    put(symbols, TP_USB_LINE_J);
}

// Samples until the end of a bit time that the host's own clock says.
static void send_symbol(struct tp_usb_host *host, enum tp_usb_line line)
{
    int64_t bit = (int64_t)TP_USB_HOST_SAMPLES * FRACTION;
    host->edge += (uint64_t)(bit + bit * host->ppm / 1000000);
    uint64_t off =
        (uint64_t)tp_random_below(&host->random, 2 * host->jitter + 1) * (FRACTION / 256);
    uint64_t until = host->edge + off - (uint64_t)host->jitter * (FRACTION / 256);
    while (host->samples * FRACTION < until) (void)pass(host, line);
}

void tp_usb_host_send(struct tp_usb_host *host, const uint8_t *bytes, uint32_t count)
{
    struct symbols symbols;
    assert(count >= 1 && count <= TP_USB_HOST_BYTES_MAX);
    draw(host, &symbols, bytes, count);
    // From any phase on.
    host->edge = host->samples * FRACTION + tp_random_below(&host->random, FRACTION);
    for (uint32_t i = 0; i < symbols.count; i++) {
        if (i + 1 == symbols.count) host->end = host->samples;
        send_symbol(host, (enum tp_usb_line)symbols.line[i]);
    }
}

// ---- a packet of the device ----

static int broken(struct tp_usb_host *host, const char *why)
{
    host->broken = why;
    // Until the device is quiet.
    for (uint32_t quiet = 0, i = 0; quiet < 100 && i < LONGEST; i++) {
        quiet = pass(host, TP_USB_LINE_RELEASED) == TP_USB_LINE_J ? quiet + 1 : 0;
    }
    return TP_USB_ANSWER_BROKEN;
}

// The level of a bit time; -1 when it changes inside. The first sample was taken already.
static int bit_time(struct tp_usb_host *host, enum tp_usb_line first)
{
    for (int i = 1; i < TP_USB_HOST_SAMPLES; i++) {
        if (pass(host, TP_USB_LINE_RELEASED) != first) return -1;
    }
    return (int)first;
}

// SE0 has begun: two bit times of it, then a driven J, which looks as the idle line.
static const char *end_of_packet(struct tp_usb_host *host)
{
    if (bit_time(host, TP_USB_LINE_SE0) < 0) return "SE0 ends within a bit";
    if (pass(host, TP_USB_LINE_RELEASED) != TP_USB_LINE_SE0) return "SE0 of one bit";
    if (bit_time(host, TP_USB_LINE_SE0) < 0) return "SE0 ends within its second bit";
    if (pass(host, TP_USB_LINE_RELEASED) != TP_USB_LINE_J) return "no J behind SE0";
    if (bit_time(host, TP_USB_LINE_J) < 0) return "J of less than a bit";
    return NULL;
}

// Bits of a packet whose first bit time has begun, from behind its sync; the packet's end, too.
static int receive_bits(struct tp_usb_host *host, uint8_t *bytes, uint32_t most)
{
    enum tp_usb_line level = TP_USB_LINE_J;
    enum tp_usb_line line = TP_USB_LINE_K;
    uint32_t ones = 0;
    uint32_t count = 0;  // bits, the sync's 8 among them
    bool stuffed = false;
    for (; line != TP_USB_LINE_SE0; line = pass(host, TP_USB_LINE_RELEASED)) {
        if (line == TP_USB_LINE_SE1) return broken(host, "SE1");
        if (bit_time(host, line) < 0) return broken(host, "an edge within a bit");
        bool one = line == level;
        level = line;
        if (stuffed && one) return broken(host, "seven 1 in a row");
        if (!stuffed && count < 8 && one != (count == 7)) return broken(host, "no sync");
        if (!stuffed && count >= 8 + 8 * most) return broken(host, "too long");
        if (!stuffed && count >= 8) {
            uint32_t bit = count - 8;
            if (bit % 8 == 0) bytes[bit / 8] = 0;
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] | one << bit % 8);
        }
        if (!stuffed) count++;
        ones = one ? ones + 1 : 0;
        stuffed = ones == 6;
    }
    if (stuffed) return broken(host, "no bit stuffing at the end");
    if (count <= 8 || count % 8 != 0) return broken(host, "no whole bytes");
    const char *wrong = end_of_packet(host);
    return wrong != NULL ? broken(host, wrong) : (int)count / 8 - 1;
}

int tp_usb_host_receive(struct tp_usb_host *host, uint8_t *bytes, uint32_t most)
{
    enum tp_usb_line line;
    do {
        if (host->samples > host->end + WAIT_BITS * TP_USB_HOST_SAMPLES) return TP_USB_ANSWER_NONE;
        line = pass(host, TP_USB_LINE_RELEASED);
    } while (line == TP_USB_LINE_J);
    if (line != TP_USB_LINE_K) return broken(host, "does not begin with K");
    host->delay = (uint32_t)(host->samples - 1 - host->end);
    if (host->delay < EARLIEST) return broken(host, "an answer too early");
    if (host->delay > LATEST) return broken(host, "an answer too late");
    int count = receive_bits(host, bytes, most);
    if (count > 0 && (bytes[0] >> 4 ^ bytes[0]) % 16 != 15) return broken(host, "no PID");
    if (host->lose_answer) {
        host->lose_answer = false;
        return TP_USB_ANSWER_NONE;
    }
    return count;
}

// ---- sums ----

static uint16_t crc16(const uint8_t *data, uint32_t bytes)
{
    uint32_t crc = 0xFFFF;
    for (uint32_t i = 0; i < 8 * bytes; i++) {
        uint32_t bit = data[i / 8] >> (i % 8) & 1;
        crc = (crc ^ bit) & 1 ? crc >> 1 ^ 0xA001 : crc >> 1;
    }
    return (uint16_t)~crc;
}

static uint32_t crc5(uint32_t bits)
{
    uint32_t crc = 0x1F;
    for (uint32_t i = 0; i < 11; i++) crc = (crc ^ bits >> i) & 1 ? crc >> 1 ^ 0x14 : crc >> 1;
    return ~crc & 0x1F;
}

static void send_token(struct tp_usb_host *host, enum tp_usb_pid pid, uint32_t bits)
{
    uint32_t field = bits | crc5(bits) << 11;
    const uint8_t token[3] = {(uint8_t)pid, (uint8_t)field, (uint8_t)(field >> 8)};
    tp_usb_host_send(host, token, sizeof token);
}

void tp_usb_host_token(struct tp_usb_host *host, enum tp_usb_pid pid, uint8_t endpoint)
{
    send_token(host, pid, host->address | (uint32_t)endpoint << 7);
}

void tp_usb_host_data(struct tp_usb_host *host, bool toggle, const uint8_t *data, uint32_t bytes)
{
    uint8_t packet[TP_USB_HOST_BYTES_MAX];
    assert(bytes + 3 <= sizeof packet);
    uint16_t crc = crc16(data, bytes);
    packet[0] = toggle ? TP_USB_PID_DATA1 : TP_USB_PID_DATA0;
    if (bytes != 0) memcpy(packet + 1, data, bytes);
    packet[bytes + 1] = (uint8_t)crc;
    packet[bytes + 2] = (uint8_t)(crc >> 8);
    tp_usb_host_send(host, packet, bytes + 3);
}

// ---- transactions ----

void tp_usb_host_frame(struct tp_usb_host *host)
{
    if (host->samples - host->frame_sample < TP_USB_HOST_FRAME) return;
    // A fault is for a packet of the device's transactions.
    enum tp_usb_spoil spoil = host->spoil;
    host->spoil = TP_USB_SPOIL_NOTHING;
    host->frame_sample = host->samples;
    send_token(host, TP_USB_PID_SOF, host->frame++ & 0x7FF);
    host->spoil = spoil;
    rest(host, REST_BITS);
}

static int answer_of(struct tp_usb_host *host, const uint8_t *packet, int count)
{
    if (count < 0) return count;
    if (count == 1 && packet[0] == TP_USB_PID_NAK) return TP_USB_ANSWER_NAK;
    if (count == 1 && packet[0] == TP_USB_PID_STALL) return TP_USB_ANSWER_STALL;
    return broken(host, "no packet that was waited for");
}

int tp_usb_host_handshake(struct tp_usb_host *host)
{
    uint8_t packet[1];
    int count = tp_usb_host_receive(host, packet, sizeof packet);
    rest(host, REST_BITS);
    return count == 1 && packet[0] == TP_USB_PID_ACK ? 0 : answer_of(host, packet, count);
}

static int send_data(struct tp_usb_host *host, enum tp_usb_pid pid, uint8_t endpoint,
                     const uint8_t *data, uint32_t bytes)
{
    tp_usb_host_frame(host);
    tp_usb_host_token(host, pid, endpoint);
    rest(host, REST_BITS);
    tp_usb_host_data(host, host->toggle_out[endpoint], data, bytes);
    int answer = tp_usb_host_handshake(host);
    if (answer == 0) host->toggle_out[endpoint] = !host->toggle_out[endpoint];
    return answer;
}

int tp_usb_host_out(struct tp_usb_host *host, uint8_t endpoint, const uint8_t *data, uint32_t bytes)
{
    return send_data(host, TP_USB_PID_OUT, endpoint, data, bytes);
}

int tp_usb_host_setup(struct tp_usb_host *host, const uint8_t setup[8])
{
    host->toggle_out[0] = false;
    host->toggle_in[0] = true;
    return send_data(host, TP_USB_PID_SETUP, 0, setup, 8);
}

// Once; a repeated packet is TP_USB_ANSWER_NONE.
static int receive_data(struct tp_usb_host *host, uint8_t endpoint, uint8_t *data)
{
    static const uint8_t ack[1] = {TP_USB_PID_ACK};
    uint8_t packet[TP_USB_HOST_PACKET_BYTES + 3];
    tp_usb_host_frame(host);
    tp_usb_host_token(host, TP_USB_PID_IN, endpoint);
    int count = tp_usb_host_receive(host, packet, sizeof packet);
    rest(host, REST_BITS);
    if (count < 3) return answer_of(host, packet, count);
    if (packet[0] != TP_USB_PID_DATA0 && packet[0] != TP_USB_PID_DATA1) {
        return answer_of(host, packet, count);
    }
    uint32_t bytes = (uint32_t)count - 3;
    if (crc16(packet + 1, bytes) != (packet[count - 2] | packet[count - 1] << 8)) {
        return broken(host, "wrong CRC16");
    }
    tp_usb_host_send(host, ack, sizeof ack);
    rest(host, REST_BITS);
    if ((packet[0] == TP_USB_PID_DATA1) != host->toggle_in[endpoint]) return TP_USB_ANSWER_NONE;
    host->toggle_in[endpoint] = !host->toggle_in[endpoint];
    memcpy(data, packet + 1, bytes);
    return (int)bytes;
}

int tp_usb_host_in(struct tp_usb_host *host, uint8_t endpoint, uint8_t *data)
{
    int answer = TP_USB_ANSWER_NONE;
    for (int i = 0; i < TRIES && answer == TP_USB_ANSWER_NONE; i++) {
        answer = receive_data(host, endpoint, data);
    }
    return answer;
}

// ---- control transfers ----

static int out_tries(struct tp_usb_host *host, const uint8_t *data, uint32_t bytes)
{
    int tries = 0;
    int naks = 0;
    for (;;) {
        int answer = tp_usb_host_out(host, 0, data, bytes);
        if (answer == TP_USB_ANSWER_NAK && ++naks < NAKS) continue;
        if (answer != TP_USB_ANSWER_NONE || ++tries == TRIES) return answer;
    }
}

static int in_tries(struct tp_usb_host *host, uint8_t *data)
{
    int answer = TP_USB_ANSWER_NAK;
    for (int naks = 0; naks < NAKS && answer == TP_USB_ANSWER_NAK; naks++) {
        answer = tp_usb_host_in(host, 0, data);
    }
    return answer;
}

static int control_in(struct tp_usb_host *host, uint8_t *data, uint32_t length)
{
    uint8_t packet[TP_USB_HOST_PACKET_BYTES];
    uint32_t done = 0;
    while (done < length) {
        int answer = in_tries(host, packet);
        if (answer < 0) return answer;
        if ((uint32_t)answer > length - done) return broken(host, "more than was asked for");
        memcpy(data + done, packet, (size_t)answer);
        done += (uint32_t)answer;
        if (answer < TP_USB_HOST_PACKET_BYTES) break;
    }
    host->toggle_out[0] = true;
    int answer = out_tries(host, packet, 0);
    return answer == 0 ? (int)done : answer;
}

static int control_out(struct tp_usb_host *host, const uint8_t *data, uint32_t length)
{
    uint8_t packet[TP_USB_HOST_PACKET_BYTES];
    for (uint32_t done = 0; done < length; done += TP_USB_HOST_PACKET_BYTES) {
        uint32_t left = length - done;
        uint32_t bytes = left < TP_USB_HOST_PACKET_BYTES ? left : TP_USB_HOST_PACKET_BYTES;
        int answer = out_tries(host, data + done, bytes);
        if (answer != 0) return answer;
    }
    host->toggle_in[0] = true;
    int answer = in_tries(host, packet);
    if (answer > 0) return broken(host, "a status with data");
    return answer == 0 ? (int)length : answer;
}

int tp_usb_host_control(struct tp_usb_host *host, const uint8_t setup[8], uint8_t *data)
{
    uint32_t length = setup[6] | (uint32_t)setup[7] << 8;
    int answer = TP_USB_ANSWER_NONE;
    for (int i = 0; i < TRIES && answer == TP_USB_ANSWER_NONE; i++) {
        answer = tp_usb_host_setup(host, setup);
    }
    if (answer != 0) return answer;
    if ((setup[0] & 0x80) != 0 && length != 0) return control_in(host, data, length);
    return control_out(host, data, length);
}

void tp_usb_host_request(uint8_t setup[8], uint8_t type, uint8_t request, uint16_t value,
                         uint16_t index, uint16_t length)
{
    setup[0] = type;
    setup[1] = request;
    setup[2] = (uint8_t)value;
    setup[3] = (uint8_t)(value >> 8);
    setup[4] = (uint8_t)index;
    setup[5] = (uint8_t)(index >> 8);
    setup[6] = (uint8_t)length;
    setup[7] = (uint8_t)(length >> 8);
}

int tp_usb_host_ask(struct tp_usb_host *host, uint8_t type, uint8_t request, uint16_t value,
                    uint16_t index, uint16_t length, uint8_t *data)
{
    uint8_t setup[8];
    tp_usb_host_request(setup, type, request, value, index, length);
    return tp_usb_host_control(host, setup, data);
}
