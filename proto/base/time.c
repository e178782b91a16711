/* Clocks, and ISO 8601 by arithmetic alone: no time zone is asked for, no file is read.
 *
 * Days are counted in the proleptic Gregorian calendar with years that begin in March, so that the
 * leap day is the last of its year. */
#include "time.h"
#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

enum {
    YEAR_MOST = 9999,
    DAYS_OF_ERA = 146097, /* 400 years */
    EPOCH_DAY = 719468    /* 1970-01-01, counted from 0000-03-01 */
};

#define SECOND TIME_S(1)
#define MINUTE TIME_S(60)
#define HOUR TIME_S(3600)
#define DAY TIME_S(86400)
/* 0001-01-01T00:00:00 and the last microsecond of 9999. */
#define EARLIEST (-62135596800 * SECOND)
#define LATEST (253402300800 * SECOND - 1)

static int64_t (*other_clock_us)(void);

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t time_now_us(void)
{
    return other_clock_us == NULL ? read_clock_us(CLOCK_MONOTONIC) : other_clock_us();
}

int64_t time_wall_us(void)
{
    return read_clock_us(CLOCK_REALTIME);
}

void time_set_clock(int64_t (*clock_us)(void))
{
    other_clock_us = clock_us;
}

struct date {
    int64_t year, month, day; /* 1 to 12, 1 to 31 */
};

static int64_t days_of(struct date date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;

    return era * DAYS_OF_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           day_of_year - EPOCH_DAY;
}

static struct date date_of(int64_t days)
{
    int64_t from_march_0 = days + EPOCH_DAY;
    int64_t era = (from_march_0 >= 0 ? from_march_0 : from_march_0 - DAYS_OF_ERA + 1) / DAYS_OF_ERA;
    int64_t day_of_era = from_march_0 - era * DAYS_OF_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    return (struct date){.year = year_of_era + era * 400 + (month <= 2),
                         .month = month,
                         .day = day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

static char *put_digits(char *at, int64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

static char *put_fields(char *at, const int64_t fields[3], int first_digits, char between)
{
    at = put_digits(at, fields[0], first_digits);
    *at++ = between;
    at = put_digits(at, fields[1], 2);
    *at++ = between;
    return put_digits(at, fields[2], 2);
}

char *time_iso(int64_t epoch_us, char out[TIME_ISO_BYTES])
{
    int64_t us = epoch_us < EARLIEST ? EARLIEST : epoch_us > LATEST ? LATEST : epoch_us;
    int64_t days = (us - EARLIEST) / DAY + EARLIEST / DAY;
    int64_t of_day = us - days * DAY;
    struct date date = date_of(days);
    int64_t date_fields[3] = {date.year, date.month, date.day};
    int64_t time_fields[3] = {of_day / HOUR, of_day / MINUTE % 60, of_day / SECOND % 60};
    char *at = put_fields(out, date_fields, 4, '-');

    *at++ = 'T';
    at = put_fields(at, time_fields, 2, ':');
    *at++ = '.';
    at = put_digits(at, of_day % SECOND, 6);
    memcpy(at, "+00:00", sizeof("+00:00"));
    return out;
}

/* What is left of the text that is being read. */
struct reader {
    const char *at, *end;
};

/* A number of exactly `digits` digits, or -1. */
static int64_t take_digits(struct reader *reader, int digits)
{
    int64_t value = 0;

    if (reader->end - reader->at < digits)
        return -1;
    for (int i = 0; i < digits; i++) {
        char c = *reader->at++;

        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

static bool take_char(struct reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static int64_t days_of_month(const struct date *date)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = date->year % 4 == 0 && (date->year % 100 != 0 || date->year % 400 == 0);

    return date->month == 2 && leap ? 29 : days[date->month - 1];
}

static bool take_date(struct reader *reader, int64_t *us)
{
    struct date date;

    date.year = take_digits(reader, 4);
    if (date.year < 1 || !take_char(reader, '-'))
        return false;
    date.month = take_digits(reader, 2);
    if (date.month < 1 || date.month > 12 || !take_char(reader, '-'))
        return false;
    date.day = take_digits(reader, 2);
    if (date.day < 1 || date.day > days_of_month(&date))
        return false;
    *us = days_of(date) * DAY;
    return true;
}

/* `hh:mm:ss` */
static bool take_time(struct reader *reader, int64_t *us)
{
    int64_t hour = take_digits(reader, 2);
    bool colon = take_char(reader, ':');
    int64_t minute = take_digits(reader, 2);
    bool second_colon = take_char(reader, ':');
    int64_t second = take_digits(reader, 2);

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    *us = hour * HOUR + minute * MINUTE + second * SECOND;
    return colon && second_colon;
}

/* `.1` to `.123456`, or nothing. */
static bool take_decimals(struct reader *reader, int64_t *us)
{
    int64_t unit = SECOND / 10;

    *us = 0;
    if (!take_char(reader, '.'))
        return true;
    if (reader->at == reader->end || *reader->at < '0' || *reader->at > '9')
        return false;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        if (unit == 0)
            return false;
        *us += (*reader->at++ - '0') * unit;
        unit /= 10;
    }
    return true;
}

static bool take_offset(struct reader *reader, int64_t *us)
{
    int64_t hour, minute;
    bool west;

    *us = 0;
    if (take_char(reader, 'Z'))
        return true;
    west = take_char(reader, '-');
    if (!west && !take_char(reader, '+'))
        return false;
    hour = take_digits(reader, 2);
    take_char(reader, ':');
    minute = take_digits(reader, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
        return false;
    *us = (hour * HOUR + minute * MINUTE) * (west ? -1 : 1);
    return true;
}

int time_parse_iso(const char *text, size_t len, int64_t *epoch_us)
{
    struct reader reader = {text, text + len};
    int64_t date_us, time_us, decimals_us, offset_us, us;

    if (!take_date(&reader, &date_us))
        return -1;
    if (!take_char(&reader, 'T') && !take_char(&reader, ' '))
        return -1;
    if (!take_time(&reader, &time_us) || !take_decimals(&reader, &decimals_us) ||
        !take_offset(&reader, &offset_us) || reader.at != reader.end)
        return -1;
    us = date_us + time_us + decimals_us - offset_us;
    if (us < EARLIEST || us > LATEST)
        return -1;
    *epoch_us = us;
    return 0;
}
