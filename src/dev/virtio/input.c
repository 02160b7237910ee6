/* SPDX-License-Identifier: Apache-2.0
 * virtio input device with one key. */
#include "dev/virtio/input.h"

#include "base/endian.h"
#include "base/errno.h"

enum {
    DEVICE_ID = 18,
    EVENT_QUEUE = 0,
    STATUS_QUEUE = 1, /* LEDs: the device has none, so buffers come back at once */
    QUEUE_SIZE = 64,
    STATUS_BUDGET = 4 * QUEUE_SIZE,
};

/* Configuration space (5.8.4): the driver selects, the device answers. */
enum {
    CONFIG_SELECT = 0,
    CONFIG_SUBSELECT = 1,
    CONFIG_ANSWER_SIZE = 2,
    CONFIG_ANSWER = 8,
    CONFIG_SIZE = 136,

    SELECT_NAME = 0x01,
    SELECT_IDS = 0x03,
    SELECT_EVENT_BITS = 0x11,
};
_Static_assert((int)CONFIG_SIZE <= VIRTIO_MAX_CONFIG, "the configuration space has room");

/* Linux's input event codes. */
enum {
    EV_SYN = 0,
    EV_KEY = 1,
    KEY_POWER = 116,
};

enum { EVENT_SIZE = 8 };

/* A press: what the driver gets, first to last. */
static const struct {
    uint16_t type;
    uint16_t code;
    uint32_t value;
} press[] = {{EV_KEY, KEY_POWER, 1}, {EV_SYN, 0, 0}, {EV_KEY, KEY_POWER, 0}, {EV_SYN, 0, 0}};

static void send_events(struct virtio_input *input)
{
    struct virtio_device *device = &input->virtio;

    while (input->events_left) {
        uint8_t bytes[EVENT_SIZE];
        const struct virtio_chain *chain = virtio_pop(device, EVENT_QUEUE);
        if (!chain)
            return;
        unsigned i = (unsigned)ARRAY_LEN(press) - input->events_left--;
        store_le16(bytes, press[i].type);
        store_le16(bytes + 2, press[i].code);
        store_le32(bytes + 4, press[i].value);
        size_t written = virtio_chain_write(chain, device->space, 0, bytes, sizeof(bytes));
        virtio_push(device, EVENT_QUEUE, &chain->token, (uint32_t)written);
    }
}

void virtio_input_press(struct virtio_input *input)
{
    if (!virtio_is_running(&input->virtio) || input->events_left)
        return;
    input->events_left = (uint8_t)ARRAY_LEN(press);
    send_events(input);
}

static void input_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_input *input = CONTAINER_OF(device, struct virtio_input, virtio);

    if (queue == EVENT_QUEUE) {
        send_events(input);
        return;
    }
    for (unsigned served = 0; served < STATUS_BUDGET; served++) {
        const struct virtio_chain *chain = virtio_pop(device, STATUS_QUEUE);
        if (!chain)
            return;
        virtio_push(device, STATUS_QUEUE, &chain->token, 0);
    }
    virtio_work_waits(device);
}

static void input_type_reset(struct virtio_device *device)
{
    struct virtio_input *input = CONTAINER_OF(device, struct virtio_input, virtio);

    input->events_left = 0;
    memset(device->config, 0, CONFIG_SIZE);
}

static void set_bit(uint8_t *bytes, unsigned bit, unsigned *size)
{
    bytes[bit / 8] |= (uint8_t)(1u << bit % 8);
    *size = bit / 8 + 1;
}

/* The answer to what the driver has selected; none is an answer of size 0. */
static void answer(uint8_t *config)
{
    static const char name[] = "doppel power button";
    static const uint16_t ids[] = {0x06 /* BUS_VIRTUAL */, 0, 0, 1};
    uint8_t *bytes = config + CONFIG_ANSWER;
    unsigned size = 0;

    memset(config + CONFIG_ANSWER_SIZE, 0, CONFIG_SIZE - CONFIG_ANSWER_SIZE);
    if (config[CONFIG_SELECT] == SELECT_NAME && config[CONFIG_SUBSELECT] == 0) {
        size = sizeof(name) - 1;
        memcpy(bytes, name, size);
    } else if (config[CONFIG_SELECT] == SELECT_IDS && config[CONFIG_SUBSELECT] == 0) {
        for (; size < sizeof(ids); size += 2)
            store_le16(bytes + size, ids[size / 2]);
    } else if (config[CONFIG_SELECT] == SELECT_EVENT_BITS && config[CONFIG_SUBSELECT] == EV_KEY) {
        set_bit(bytes, KEY_POWER, &size);
    }
    config[CONFIG_ANSWER_SIZE] = (uint8_t)size;
}

static void input_config_write(struct virtio_device *device, unsigned offset, uint64_t value,
                               unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        if (offset + i <= CONFIG_SUBSELECT)
            device->config[offset + i] = (uint8_t)(value >> (8 * i));
    answer(device->config);
}

static const struct virtio_type input_type = {
    .name = "virtio-input",
    .device_id = DEVICE_ID,
    .queue_count = 2,
    .queue_size = QUEUE_SIZE,
    .pci_class = 0x098000, /* input device, other */
    .notify = input_notify,
    .reset = input_type_reset,
    .config_write = input_config_write,
};

static void input_reset(void *object)
{
    struct virtio_input *input = object;

    virtio_device_reset(&input->virtio);
}

static int input_loaded(void *object, struct error *err)
{
    struct virtio_input *input = object;

    if (input->events_left > ARRAY_LEN(press))
        return error_set(err, -EPROTO, "virtio-input: more events than a press has");
    answer(input->virtio.config);
    return virtio_device_loaded(&input->virtio, err);
}

static const struct state_field input_fields[] = {
    STATE_STRUCT(struct virtio_input, virtio, &virtio_device_state),
    STATE_FIELD(struct virtio_input, events_left),
    STATE_FIELD(struct virtio_input, virtio.config[CONFIG_SELECT]),
    STATE_FIELD(struct virtio_input, virtio.config[CONFIG_SUBSELECT]),
};
static const struct state_table input_state = STATE_TABLE("virtio-input", 1, input_fields);

const struct device_ops virtio_input_ops = {input_reset, &input_state, input_loaded};

void virtio_input_init(struct virtio_input *input, const struct space *space)
{
    *input = (struct virtio_input){0};
    virtio_device_init(&input->virtio, &input_type, space, 0);
    input->virtio.config_size = CONFIG_SIZE;
}
