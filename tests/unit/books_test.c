#include "books.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>

Test(books, each_is_found_by_each_of_its_names)
{
    for (int number = 1; number <= BOOK_COUNT; number++) {
        const struct book *book = book_at(number);

        cr_assert_not_null(book);
        cr_assert_eq(book->number, number);
        cr_assert_eq(strlen(book->id), 3);
        cr_assert_eq(book_find(str_of(book->name)), book, "%s", book->name);
        cr_assert_eq(book_find(str_of(book->id)), book, "%s", book->id);
        cr_assert_eq(book_of_osis(str_of(book->osis)), book, "%s", book->osis);
        cr_assert_eq(book_of_sword(str_of(book->sword)), book, "%s", book->sword);
    }
}

Test(books, names_and_ids_are_found_in_any_case)
{
    static const struct {
        const char *name;
        int number;
    } cases[] = {{"genesis", 1}, {"GENESIS", 1},    {"gen", 1},  {"1 samuel", 9},
                 {"1SA", 9},     {"psalms", 19},    {"PsA", 19}, {"SONG OF SOLOMON", 22},
                 {"sng", 22},    {"John", 43},      {"jhn", 43}, {"1CO", 46},
                 {"1 john", 62}, {"Revelation", 66}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct book *book = book_find(str_of(cases[i].name));

        cr_assert_not_null(book, "%s", cases[i].name);
        cr_assert_eq(book->number, cases[i].number, "%s", cases[i].name);
    }
}

Test(books, others_are_not_found)
{
    static const char *const others[] = {"",      "Ge",       "Genesiss", "Tobit",
                                         "Psalm", " Genesis", "I Samuel"};

    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        cr_assert_null(book_find(str_of(others[i])), "%s", others[i]);
    cr_assert_null(book_find(NO_STR));
    cr_assert_null(book_at(0));
    cr_assert_null(book_at(67));
    cr_assert_null(book_at(-1));
    cr_assert_null(book_of_osis(STR("gen")));
    cr_assert_null(book_of_sword(STR("Esther (Greek)")));
    cr_assert_null(book_of_sword(STR("Revelation")));
}

Test(books, there_are_1189_chapters_and_one_of_joel_that_not_all_count)
{
    int chapters = 0;

    for (int number = 1; number <= BOOK_COUNT; number++)
        chapters += book_at(number)->max_chapter;
    cr_assert_eq(chapters, 1190);
}
