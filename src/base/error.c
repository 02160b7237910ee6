/* SPDX-License-Identifier: Apache-2.0
 * Error texts. */
#include "base/error.h"

#include "base/format.h"

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err && err->code == 0) {
        va_list arguments;

        va_start(arguments, format);
        format_text_va(err->text, sizeof(err->text), format, arguments);
        va_end(arguments);
        err->code = code;
    }
    return code;
}
