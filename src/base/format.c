/* SPDX-License-Identifier: Apache-2.0
 * printf-style formatting without the C library. */
#include "base/format.h"

#include "base/types.h"

struct output {
    char *to;
    size_t size;
    size_t length; /* of the whole text, also past `size` */
};

struct directive {
    bool zero_pad;
    bool left;
    int width;
    int precision; /* -1: none */
    int longs;     /* 0 int, 1 long or size_t, 2 long long */
};

static void put(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->to[out->length] = c;
    out->length++;
}

static void put_padding(struct output *out, char c, int count)
{
    for (; count > 0; count--)
        put(out, c);
}

static void put_padded(struct output *out, const struct directive *d, const char *text, int length)
{
    if (!d->left)
        put_padding(out, ' ', d->width - length);
    for (int i = 0; i < length; i++)
        put(out, text[i]);
    if (d->left)
        put_padding(out, ' ', d->width - length);
}

static void put_string(struct output *out, const struct directive *d, const char *text)
{
    if (!text)
        text = "(null)";
    int length = 0;
    while ((d->precision < 0 || length < d->precision) && text[length])
        length++;
    put_padded(out, d, text, length);
}

static void put_number(struct output *out, const struct directive *d, uint64_t value,
                       const char *sign, unsigned base, const char *digits)
{
    char text[96];
    int at = (int)sizeof(text);
    int least = d->precision > 64 ? 64 : d->precision;
    int sign_length = sign[0] == 0 ? 0 : sign[1] == 0 ? 1 : 2;

    if (least < 0 && d->zero_pad && !d->left)
        least = MIN(d->width, 64) - sign_length;
    if (least < 1)
        least = 1;
    for (int count = 0; value != 0 || count < least; count++) {
        text[--at] = digits[value % base];
        value /= base;
    }
    for (int i = sign_length - 1; i >= 0; i--)
        text[--at] = sign[i];
    put_padded(out, d, text + at, (int)sizeof(text) - at);
}

static const char *parse_directive(const char *at, struct directive *d, va_list *arguments)
{
    for (; *at == '0' || *at == '-' || *at == '#' || *at == '+' || *at == ' '; at++) {
        d->zero_pad |= *at == '0';
        d->left |= *at == '-';
    }
    if (*at == '*') {
        d->width = va_arg(*arguments, int);
        at++;
    }
    for (; *at >= '0' && *at <= '9' && d->width < 1000; at++)
        d->width = d->width * 10 + (*at - '0');
    if (*at == '.') {
        d->precision = 0;
        at++;
        if (*at == '*') {
            d->precision = va_arg(*arguments, int);
            at++;
        }
        for (; *at >= '0' && *at <= '9' && d->precision < 1000; at++)
            d->precision = d->precision * 10 + (*at - '0');
    }
    for (; *at == 'l' || *at == 'z' || *at == 'j' || *at == 'h'; at++)
        d->longs += *at != 'h';
    return at;
}

static int64_t next_signed(const struct directive *d, va_list *arguments)
{
    return d->longs ? va_arg(*arguments, long long) : va_arg(*arguments, int);
}

static uint64_t next_unsigned(const struct directive *d, va_list *arguments)
{
    return d->longs ? va_arg(*arguments, unsigned long long) : va_arg(*arguments, unsigned);
}

static void put_directive(struct output *out, const struct directive *d, char kind,
                          va_list *arguments)
{
    static const char lower[] = "0123456789abcdef";
    static const char upper[] = "0123456789ABCDEF";

    switch (kind) {
    case 'd':
    case 'i': {
        int64_t value = next_signed(d, arguments);
        uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        put_number(out, d, magnitude, value < 0 ? "-" : "", 10, lower);
        break;
    }
    case 'u':
        put_number(out, d, next_unsigned(d, arguments), "", 10, lower);
        break;
    case 'x':
        put_number(out, d, next_unsigned(d, arguments), "", 16, lower);
        break;
    case 'X':
        put_number(out, d, next_unsigned(d, arguments), "", 16, upper);
        break;
    case 'p':
        put_number(out, d, (uintptr_t)va_arg(*arguments, void *), "0x", 16, lower);
        break;
    case 'c': {
        char c = (char)va_arg(*arguments, int);
        put_padded(out, d, &c, 1);
        break;
    }
    case 's':
        put_string(out, d, va_arg(*arguments, const char *));
        break;
    default: /* '%' and whatever -Wformat would have refused */
        put(out, kind);
        break;
    }
}

size_t format_text_va(char *to, size_t size, const char *format, va_list arguments)
{
    struct output out = {.to = to, .size = size};
    va_list copy;

    va_copy(copy, arguments);
    for (const char *at = format; *at; at++) {
        if (*at != '%') {
            put(&out, *at);
            continue;
        }
        struct directive d = {.precision = -1};
        at = parse_directive(at + 1, &d, &copy);
        if (!*at)
            break;
        put_directive(&out, &d, *at, &copy);
    }
    va_end(copy);
    if (size)
        to[MIN(out.length, size - 1)] = 0;
    return out.length;
}

size_t format_text(char *to, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    size_t length = format_text_va(to, size, format, arguments);
    va_end(arguments);
    return length;
}
