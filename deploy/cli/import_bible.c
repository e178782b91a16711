/* `lectern import-bible`: reads Bibles into the database. Here are its arguments, and the import of
 * a module of SWORD; the other kind of source has a file of its own. */
#include "books.h"
#include "cli.h"
#include "database.h"
#include "import.h"
#include "osis.h"
#include "sword.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static const char help[] =
    "usage: lectern import-bible sword MODULE --code CODE [--name NAME] [--pro]\n"
    "       lectern import-bible helloao FILE.db [--only CODE...]\n"
    "\n"
    "sword: reads the 66 books of an OSIS Bible module of SWORD and stores them as one "
    "translation.\n"
    "helloao: reads translations of the HelloAO collection from its SQLite file: those that have a "
    "code here\n"
    "(WEB, KJV, BSB, ...), or only those named by code or by the collection's id. One without a "
    "code is taken when\n"
    "it is named, and its id is then its code. The file must not be written to meanwhile.\n"
    "\n"
    "A translation takes the place of what was imported under its code before. Each is one "
    "transaction, and nothing is\n"
    "stored before all that is wanted of the source was read and found well-formed.\n"
    "\n"
    "options:\n"
    "  --code CODE     what the translation is asked for by, WEB or KJV: at most 10 letters, "
    "digits, _ or -\n"
    "  --name NAME     what people call it; without it the module's own description\n"
    "  --pro           only for pro users\n"
    "  --only CODE...  codes or ids, parted by blanks or commas\n"
    "  --help          this page\n"
    "\n"
    "environment:\n"
    "  DATABASE_URL   postgresql://USER@HOST/NAME; without it libpq's PG*\n"
    "  SWORD_PATH     where modules are, beside ~/.sword and /usr/share/sword\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 65 the source is broken, of another kind, or has no such "
    "translation, 66 no such\n"
    "module or file, 69 no connection, 70 the database refused it.\n";

int import_complain(int code, const char *what, const char *more)
{
    fprintf(stderr, "lectern import-bible: %s%s\n", what, more);
    return code;
}

void import_clear_line(void)
{
    if (isatty(STDERR_FILENO) == 1)
        fputs("\r\033[K", stderr);
}

bool import_code_is_valid(const char *code)
{
    size_t len = strlen(code);
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    return len > 0 && len <= IMPORT_CODE_MAX && strspn(code, allowed) == len;
}

/* ---- arguments ---- */

/* Adds the names of a list with commas, which it takes apart. */
static int add_only(struct import_arguments *arguments, char *list)
{
    char *rest = NULL;

    for (char *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        if (arguments->only_count == IMPORT_ONLY_MAX)
            return import_complain(EX_USAGE, "--only names too many translations", "");
        arguments->only[arguments->only_count++] = name;
    }
    if (arguments->only_count == 0)
        return import_complain(EX_USAGE, "--only names no translation", "");
    return EX_OK;
}

static int read_options(int argc, char **argv, struct import_arguments *arguments)
{
    static const struct option options[] = {
        {"code", required_argument, NULL, 'c'}, {"name", required_argument, NULL, 'n'},
        {"pro", no_argument, NULL, 'p'},        {"only", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
    int option;

    optind = 1;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'c')
            arguments->code = optarg;
        else if (option == 'n')
            arguments->name = optarg;
        else if (option == 'p')
            arguments->pro = true;
        else if (option == 'h')
            arguments->help = true;
        else if (option != 'o' || add_only(arguments, optarg) != EX_OK)
            return EX_USAGE;
    }
    return EX_OK;
}

static int check_sword(const struct import_arguments *arguments)
{
    if (arguments->only_count > 0)
        return import_complain(EX_USAGE, "--only is no option of `sword`", "");
    if (!sword_name_is_valid(arguments->source))
        return import_complain(EX_USAGE, "no module can be named ", arguments->source);
    if (arguments->code == NULL || !import_code_is_valid(arguments->code))
        return import_complain(EX_USAGE, "--code is needed: at most 10 letters, digits, _ or -",
                               "");
    if (arguments->name != NULL &&
        (arguments->name[0] == '\0' || strlen(arguments->name) > IMPORT_NAME_MAX))
        return import_complain(EX_USAGE, "--name is empty or too long", "");
    return EX_OK;
}

static int check_helloao(const struct import_arguments *arguments)
{
    if (arguments->code != NULL || arguments->name != NULL || arguments->pro)
        return import_complain(EX_USAGE, "`helloao` has no option but --only", "");
    return EX_OK;
}

static int import_sword(const struct import_arguments *arguments);

static const struct kind {
    const char *name;
    int (*check)(const struct import_arguments *arguments); /* an exit code */
    int (*import)(const struct import_arguments *arguments);
} kinds[] = {
    {"sword", check_sword, import_sword},
    {"helloao", check_helloao, import_helloao},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static int read_arguments(int argc, char **argv, struct import_arguments *arguments)
{
    int code = read_options(argc, argv, arguments);

    if (code != EX_OK || arguments->help)
        return code;
    if (argc - optind < 2)
        return import_complain(
            EX_USAGE, "a kind of source and a source are needed: sword MODULE, helloao FILE.db",
            "");
    arguments->kind = argv[optind++];
    arguments->source = argv[optind++];
    if (find_kind(arguments->kind) == NULL)
        return import_complain(EX_USAGE, "a kind of source is `sword` or `helloao`, not ",
                               arguments->kind);
    /* `--only` takes the first name, the others are left */
    if (optind < argc && arguments->only_count == 0)
        return import_complain(EX_USAGE, "what is ", argv[optind]);
    while (optind < argc && code == EX_OK)
        code = add_only(arguments, argv[optind++]);
    return code == EX_OK ? find_kind(arguments->kind)->check(arguments) : code;
}

/* ---- a module of SWORD ---- */

/* On a terminal one line that changes, else a line a book. */
static void book_done(void *data, int book, int chapters, int verses)
{
    const bool *terminal = data;

    fprintf(stderr,
            *terminal ? "\r\033[K%2d/%d %s: %d chapters, %d verses"
                      : "%2d/%d %s: %d chapters, %d verses\n",
            book, BOOK_COUNT, book_at(book)->name, chapters, verses);
}

static int read_module(const char *module, struct bible *bible)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    char message[SWORD_MESSAGE_BYTES], place[300];
    struct bible_error error;
    struct buffer text;
    int code = EX_OK;

    buffer_init(&text, NULL, SWORD_MAX_BYTES);
    if (sword_export(module, &text, message) != 0) {
        code = import_complain(EX_NOINPUT, message, "");
    } else if (osis_read(buffer_str(&text), bible, book_done, &terminal, &error) != 0) {
        bible_error_format(&error, place, sizeof(place));
        import_clear_line();
        fprintf(stderr, "lectern import-bible: %s: %s\n", module, place);
        code = EX_DATAERR;
    } else {
        import_clear_line();
    }
    buffer_free(&text);
    return code;
}

int import_store(PGconn *conn, const struct translation *translation, const struct bible *bible)
{
    char message[STORE_MESSAGE_BYTES];

    if (bible_store(conn, translation, bible, message) != 0)
        return import_complain(EX_SOFTWARE, message, "");
    printf("%s, %s: %zu verses in %zu chapters\n", translation->code, translation->name,
           bible->verse_count, bible->chapter_count);
    return EX_OK;
}

static int store(const struct translation *translation, const struct bible *bible)
{
    int code = EX_OK;
    PGconn *conn = cli_connect("import-bible", &code);

    if (conn == NULL)
        return code;
    code = import_store(conn, translation, bible);
    PQfinish(conn);
    return code;
}

static int import_module(const struct import_arguments *arguments,
                         const struct sword_module *module)
{
    char source[SWORD_MODULE_MAX + 64];
    struct translation translation = {.code = arguments->code,
                                      .name = arguments->name,
                                      .source = source,
                                      .requires_pro = arguments->pro};
    struct bible bible;
    int code;

    if (translation.name == NULL)
        translation.name = module->description[0] != '\0' ? module->description : arguments->code;
    snprintf(source, sizeof(source), "sword:%s%s%s", arguments->source,
             module->version[0] != '\0' ? " " : "", module->version);
    bible_init(&bible);
    code = read_module(arguments->source, &bible);
    if (code == EX_OK)
        code = store(&translation, &bible);
    bible_free(&bible);
    return code;
}

static int import_sword(const struct import_arguments *arguments)
{
    struct sword_module module;

    if (sword_find(arguments->source, &module) && module.source_type[0] != '\0' &&
        strcasecmp(module.source_type, "OSIS") != 0)
        return import_complain(EX_DATAERR, "the module's markup is not OSIS but ",
                               module.source_type);
    return import_module(arguments, &module);
}

int cli_import_bible(int argc, char **argv)
{
    struct import_arguments arguments = {0};
    int code = read_arguments(argc, argv, &arguments);

    if (arguments.help)
        fputs(help, stdout);
    if (code != EX_OK || arguments.help)
        return code;
    return find_kind(arguments.kind)->import(&arguments);
}
