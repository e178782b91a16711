/* Material of a question; see material.h. */
#include "material.h"

static void add_apart(struct buffer *out, struct str text)
{
    const char *end;

    while ((end = memmem(text.ptr, text.len, "</", 2)) != NULL) {
        size_t len = (size_t)(end - text.ptr) + 1;

        buffer_add(out, text.ptr, len);
        buffer_add_char(out, ' ');
        text = (struct str){text.ptr + len, text.len - len};
    }
    buffer_add_str(out, text);
}

void material_add(struct buffer *out, const char *tag, struct str text)
{
    if (text.len == 0)
        return;
    buffer_add_format(out, "\n<%s>\n", tag);
    add_apart(out, text);
    buffer_add_format(out, "\n</%s>\n", tag);
}
