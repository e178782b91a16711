/* Names that were probably meant. */
#include "cli.h"
#include <criterion/criterion.h>

Test(nearest, names)
{
    static const char *const names[] = {"send", "ls", "migrate", "import-bible", "user.session"};
    static const struct {
        const char *text, *name;
    } cases[] = {{"snd", "send"},
                 {"sendd", "send"},
                 {"migrat", "migrate"},
                 {"import_bible", "import-bible"},
                 {"user.sesion", "user.session"},
                 {"l", "ls"},
                 {"xyzzy", NULL},
                 {"completely different", NULL}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nearest nearest = nearest_to(cases[i].text);

        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
            nearest_try(&nearest, names[j]);
        if (cases[i].name == NULL)
            cr_assert_null(nearest.name, "%s", cases[i].text);
        else
            cr_assert_str_eq(nearest.name, cases[i].name);
    }
}

Test(nearest, what_is_too_long_is_nobody)
{
    char text[200];
    struct nearest nearest;

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    nearest = nearest_to(text);
    nearest_try(&nearest, "aaaa");
    nearest_try(&nearest, text);
    cr_assert_null(nearest.name);
}
