/* Failures: the fault, the place and the text of the first cause, kept where the work is kept. */
#include "fail.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

int fail_at(struct failure *failure, const struct fault *fault, const char *file, int line,
            const char *format, ...)
{
    va_list args;

    assert(fault != NULL);
    if (failure->fault != NULL)
        return -1;
    failure->fault = fault;
    failure->file = file;
    failure->line = line;
    va_start(args, format);
    if (vsnprintf(failure->text, sizeof(failure->text), format, args) < 0)
        failure->text[0] = '\0';
    va_end(args);
    return -1;
}
