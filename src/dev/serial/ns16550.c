/* SPDX-License-Identifier: Apache-2.0
 * 16550A UART (National Semiconductor PC16550D data sheet, section 8).
 *
 * Time does not exist here: bytes leave as soon as the stream takes them, and
 * the receive time-out comes at once. What a stream refuses stays in the
 * transmit FIFO, and the guest sees it full; so no guest can make us hold more
 * than sixteen bytes. */
#include "dev/serial/ns16550.h"

#include "base/bits.h"
#include "base/memory.h"

enum {
    IER_RECEIVED = 0x01,
    IER_TRANSMITTER_EMPTY = 0x02,
    IER_LINE = 0x04,
    IER_MODEM = 0x08,

    IIR_MODEM = 0x00,
    IIR_NONE = 0x01,
    IIR_TRANSMITTER_EMPTY = 0x02,
    IIR_RECEIVED = 0x04,
    IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFOS_ENABLED = 0xc0,

    FCR_ENABLE = 0x01,
    FCR_CLEAR_RX = 0x02,
    FCR_CLEAR_TX = 0x04,
    FCR_KEPT = 0xc1,

    LCR_DLAB = 0x80,

    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,

    LSR_DATA_READY = 0x01,
    LSR_OVERRUN = 0x02,
    LSR_ERRORS = 0x1e,
    LSR_THR_EMPTY = 0x20,
    LSR_IDLE = 0x40,

    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
    MSR_CONNECTED = MSR_CTS | MSR_DSR | MSR_DCD,
};

static unsigned fifo_depth(const struct ns16550 *uart)
{
    return uart->fcr & FCR_ENABLE ? NS16550_FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct ns16550 *uart)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> 6] : 1;
}

static bool transmitter_asks(const struct ns16550 *uart)
{
    return (uart->ier & IER_TRANSMITTER_EMPTY) && uart->thre_pending;
}

/* The interrupt of highest priority, without the FIFO bits of IIR. */
static uint8_t irq_cause(const struct ns16550 *uart)
{
    if ((uart->ier & IER_LINE) && uart->lsr_errors)
        return IIR_LINE;
    if ((uart->ier & IER_RECEIVED) && uart->rx_count >= rx_trigger(uart))
        return IIR_RECEIVED;
    if ((uart->ier & IER_RECEIVED) && uart->rx_count)
        return IIR_TIMEOUT;
    if (transmitter_asks(uart))
        return IIR_TRANSMITTER_EMPTY;
    if ((uart->ier & IER_MODEM) && uart->msr_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

/* The transmitter has become empty. */
static void note_empty(struct ns16550 *uart)
{
    uart->thre_pending = true;
    uart->thre_told = false;
}

/* An empty transmitter interrupts once and not for as long as it is empty: there
 * are kernels that never read IIR (ADR 0018). The others are levels. */
static void update_irq(struct ns16550 *uart)
{
    uint8_t cause = irq_cause(uart);
    bool is_modem = (uart->ier & IER_MODEM) && uart->msr_delta;

    if (cause != IIR_NONE && (cause != IIR_TRANSMITTER_EMPTY || is_modem)) {
        uart->thre_told = false; /* once more when it is all that is left */
        irq_set(&uart->config.irq, true);
        return;
    }
    irq_set(&uart->config.irq, false);
    if (cause == IIR_NONE || uart->thre_told)
        return;
    uart->thre_told = true;
    irq_set(&uart->config.irq, true);
    irq_set(&uart->config.irq, false);
}

/* Tells a back end whose bytes we refused that there is room again. */
static void invite_input(struct ns16550 *uart)
{
    if (!uart->input_waits || (uart->mcr & MCR_LOOP) || uart->rx_count >= fifo_depth(uart))
        return;
    uart->input_waits = false;
    if (uart->config.output.readable)
        uart->config.output.readable(uart->config.output.owner);
}

static void flush_output(struct ns16550 *uart)
{
    const struct stream_port *output = &uart->config.output;
    size_t taken = uart->tx_count;

    if (uart->tx_count == 0)
        return;
    if (output->write)
        taken = output->write(output->owner, uart->tx, uart->tx_count);
    if (taken > uart->tx_count)
        taken = uart->tx_count;
    uart->tx_count = (uint8_t)(uart->tx_count - taken);
    memmove(uart->tx, uart->tx + taken, uart->tx_count);
    if (uart->tx_count == 0)
        note_empty(uart);
}

static void receive_byte(struct ns16550 *uart, uint8_t byte)
{
    if (uart->rx_count >= fifo_depth(uart))
        uart->lsr_errors |= LSR_OVERRUN;
    else
        uart->rx[uart->rx_count++] = byte;
}

static void transmit(struct ns16550 *uart, uint8_t byte)
{
    uart->thre_pending = false;
    if (uart->mcr & MCR_LOOP) {
        receive_byte(uart, byte);
        note_empty(uart);
        return;
    }
    /* A full FIFO loses what is written to it, as the chip's does. */
    if (uart->tx_count < fifo_depth(uart))
        uart->tx[uart->tx_count++] = byte;
    flush_output(uart);
}

static uint8_t take_received(struct ns16550 *uart)
{
    uint8_t byte = uart->rx[0];

    if (uart->rx_count == 0)
        return 0;
    uart->rx_count--;
    memmove(uart->rx, uart->rx + 1, uart->rx_count);
    invite_input(uart);
    return byte;
}

static uint8_t read_iir(struct ns16550 *uart)
{
    uint8_t cause = irq_cause(uart);

    if (cause == IIR_TRANSMITTER_EMPTY)
        uart->thre_pending = false;
    return (uint8_t)(cause | (uart->fcr & FCR_ENABLE ? IIR_FIFOS_ENABLED : 0));
}

static uint8_t read_lsr(struct ns16550 *uart)
{
    unsigned value = uart->lsr_errors;

    if (uart->rx_count)
        value |= LSR_DATA_READY;
    if (uart->tx_count == 0)
        value |= LSR_THR_EMPTY | LSR_IDLE;
    uart->lsr_errors = 0;
    return (uint8_t)value;
}

/* Modem inputs: a connected peer, or our own outputs in loopback. */
static uint8_t modem_inputs(uint8_t mcr)
{
    unsigned value = 0;

    if (!(mcr & MCR_LOOP))
        return MSR_CONNECTED;
    if (mcr & MCR_RTS)
        value |= MSR_CTS;
    if (mcr & MCR_DTR)
        value |= MSR_DSR;
    if (mcr & MCR_OUT1)
        value |= MSR_RI;
    if (mcr & MCR_OUT2)
        value |= MSR_DCD;
    return (uint8_t)value;
}

static uint8_t read_msr(struct ns16550 *uart)
{
    unsigned value = modem_inputs(uart->mcr) | uart->msr_delta;

    uart->msr_delta = 0;
    return (uint8_t)value;
}

static void write_mcr(struct ns16550 *uart, uint8_t value)
{
    unsigned before = modem_inputs(uart->mcr);

    uart->mcr = value & 0x1f;
    unsigned now = modem_inputs(uart->mcr);
    unsigned changed = (before ^ now) >> 4;
    /* RI is reported at its trailing edge only (data sheet 8.9). */
    if (!(before & MSR_RI) || (now & MSR_RI))
        changed &= ~(unsigned)(MSR_RI >> 4);
    uart->msr_delta = (uint8_t)((uart->msr_delta | changed) & 0x0f);
    invite_input(uart);
}

static void write_fcr(struct ns16550 *uart, uint8_t value)
{
    bool toggled = ((value ^ uart->fcr) & FCR_ENABLE) != 0;

    uart->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    if (toggled || (value & FCR_CLEAR_RX))
        uart->rx_count = 0;
    if ((toggled || (value & FCR_CLEAR_TX)) && uart->tx_count) {
        uart->tx_count = 0;
        note_empty(uart);
    }
    invite_input(uart);
}

static void write_ier(struct ns16550 *uart, uint8_t value)
{
    /* Enabling it while THR is empty raises the interrupt at once: drivers
     * start transmission that way. */
    if ((value & ~uart->ier & IER_TRANSMITTER_EMPTY) && uart->tx_count == 0)
        note_empty(uart);
    uart->ier = value & 0x0f;
}

static uint64_t uart_read(void *device, uint64_t offset, unsigned size)
{
    struct ns16550 *uart = device;
    bool dlab = (uart->lcr & LCR_DLAB) != 0;
    uint8_t value = 0;

    (void)size;
    switch (offset) {
    case 0:
        value = dlab ? uart->dll : take_received(uart);
        break;
    case 1:
        value = dlab ? uart->dlm : uart->ier;
        break;
    case 2:
        value = read_iir(uart);
        break;
    case 3:
        value = uart->lcr;
        break;
    case 4:
        value = uart->mcr;
        break;
    case 5:
        value = read_lsr(uart);
        break;
    case 6:
        value = read_msr(uart);
        break;
    case 7:
        value = uart->scr;
        break;
    default:
        return 0;
    }
    update_irq(uart);
    return value;
}

static void uart_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    struct ns16550 *uart = device;
    bool dlab = (uart->lcr & LCR_DLAB) != 0;
    uint8_t byte = (uint8_t)value;

    (void)size;
    switch (offset) {
    case 0:
        if (dlab)
            uart->dll = byte;
        else
            transmit(uart, byte);
        break;
    case 1:
        if (dlab)
            uart->dlm = byte;
        else
            write_ier(uart, byte);
        break;
    case 2:
        write_fcr(uart, byte);
        break;
    case 3:
        uart->lcr = byte;
        break;
    case 4:
        write_mcr(uart, byte);
        break;
    case 7:
        uart->scr = byte;
        break;
    default: /* LSR and MSR are read-only, beyond is nothing */
        return;
    }
    update_irq(uart);
}

const struct mmio_ops ns16550_mmio = {uart_read, uart_write, MMIO_ANY};

static size_t uart_receive(void *device, const uint8_t *bytes, size_t size)
{
    struct ns16550 *uart = device;
    size_t taken = 0;

    if (!(uart->mcr & MCR_LOOP))
        while (taken < size && uart->rx_count < fifo_depth(uart))
            uart->rx[uart->rx_count++] = bytes[taken++];
    if (taken < size)
        uart->input_waits = true;
    update_irq(uart);
    return taken;
}

static void uart_writable(void *device)
{
    struct ns16550 *uart = device;

    flush_output(uart);
    update_irq(uart);
}

struct stream_handler ns16550_handler(struct ns16550 *uart)
{
    return (struct stream_handler){uart_receive, uart_writable, uart};
}

static void uart_reset(void *object)
{
    struct ns16550 *uart = object;
    struct ns16550_config config = uart->config;
    bool input_waits = uart->input_waits;

    *uart = (struct ns16550){.dll = 0x0c, .config = config, .input_waits = input_waits};
    update_irq(uart);
    invite_input(uart);
}

static int uart_loaded(void *object, struct error *err)
{
    struct ns16550 *uart = object;

    (void)err;
    uart->input_waits = true;
    flush_output(uart);
    update_irq(uart);
    invite_input(uart);
    return 0;
}

static const struct state_field uart_fields[] = {
    STATE_RANGE(struct ns16550, ier, 0x0f),
    STATE_RANGE(struct ns16550, fcr, FCR_KEPT),
    STATE_FIELD(struct ns16550, lcr),
    STATE_RANGE(struct ns16550, mcr, 0x1f),
    STATE_FIELD(struct ns16550, scr),
    STATE_FIELD(struct ns16550, dll),
    STATE_FIELD(struct ns16550, dlm),
    STATE_RANGE(struct ns16550, lsr_errors, LSR_ERRORS),
    STATE_RANGE(struct ns16550, msr_delta, 0x0f),
    STATE_RANGE(struct ns16550, thre_pending, 1),
    STATE_RANGE(struct ns16550, thre_told, 1),
    STATE_RANGE(struct ns16550, rx_count, NS16550_FIFO_SIZE),
    STATE_RANGE(struct ns16550, tx_count, NS16550_FIFO_SIZE),
    STATE_ARRAY(struct ns16550, rx),
    STATE_ARRAY(struct ns16550, tx),
};
static const struct state_table uart_state = STATE_TABLE("ns16550", 2, uart_fields);

const struct device_ops ns16550_ops = {uart_reset, &uart_state, uart_loaded};

void ns16550_init(struct ns16550 *uart, const struct ns16550_config *config)
{
    *uart = (struct ns16550){.config = *config};
    uart_reset(uart);
}
