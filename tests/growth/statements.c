/* Prints the statements of a domain's program as JSON, one object a line: name, sql, whether it
 * writes. Linked once with each domain, so that tests know all that its handlers may ask. */
#include "handlers.h"
#include <stdio.h>

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ')
            printf("\\u%04x", (unsigned)*text);
        else if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_statement(const struct statement *statement)
{
    printf("{\"name\":");
    print_string(statement->name);
    printf(",\"sql\":");
    print_string(statement->sql);
    printf(",\"write\":%s}\n", statement->write ? "true" : "false");
}

int main(void)
{
    const struct statement *const *end = statements_end();

    /* Naming the domain links its handlers, and what they stand on. */
    if (DOMAIN_ITSELF.count == 0)
        return 1;
    for (const struct statement *const *at = statements_first(); at < end; at++)
        print_statement(*at);
    return 0;
}
