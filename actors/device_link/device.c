/* Devices: recording one, the list, and forgetting one.
 *
 * A device is known by its user agent alone, so two browsers of one kind are one device; those that
 * came together by a merge stay apart, and the newest is the one that is updated. */
#include "device.h"
#include "handlers.h"
#include "list.h"
#include "owned.h"
#include <inttypes.h>

/* ---- recording ---- */

STATEMENT_WRITE(record_device,
                "with newest as (select id from user_devices"
                "                 where user_id = $1 and user_agent is not distinct from $2"
                "                 order by created_at desc nulls last, id desc limit 1),"
                " seen as (update user_devices as device set last_active = now(),"
                "              device_name = coalesce($3, device_name),"
                "              device_type = coalesce($4, device_type)"
                "            from newest where device.id = newest.id returning device.id),"
                " made as (insert into user_devices"
                "                 (user_id, user_agent, device_name, device_type)"
                "          select $1, $2, $3, $4 where not exists (select from newest)"
                "          returning id),"
                " counted as (update users set device_count ="
                "                    (select count(*) from user_devices where user_id = $1)"
                "                  + (select count(*) from made)"
                "              where id = $1 returning device_count)"
                " select device.id, created, device_count from counted,"
                "        (select id, false as created from seen"
                "         union all select id, true from made) as device");

int device_record(struct call *call, int32_t user_id, const struct device *device,
                  struct recorded_device *recorded)
{
    struct str agent = device->user_agent.len > 0 ? device->user_agent : NO_STR;
    struct rows rows;

    if (db_query(call, &record_device,
                 PARAMS(p_i32(user_id), p_str(agent), p_str(device->name), p_str(device->type)),
                 &rows) != 0)
        return -1;
    if (rows.count == 0)
        return fail(call, internal, "the device of user %" PRId32 " went", user_id);
    *recorded = (struct recorded_device){.id = (int32_t)row_i64(&rows, 0, "id"),
                                         .created = row_bool(&rows, 0, "created"),
                                         .count = row_i64(&rows, 0, "device_count")};
    return 0;
}

int device_link_create_or_update_device(struct call *call,
                                        const struct device_link_create_or_update_device_in *in,
                                        struct device_link_create_or_update_device_out *out)
{
    struct device device = {in->user_agent, in->device_name, in->device_type};
    struct recorded_device recorded;

    if (owned_lock(call) != 0 || device_record(call, call->user_id, &device, &recorded) != 0)
        return -1;
    out->device_id = recorded.id;
    out->created = recorded.created;
    out->device_count = recorded.count;
    return 0;
}

/* ---- the list ---- */

/* Rows of the service before may lack a type or a time. */
LIST_STATEMENT(find_devices,
               "list_id as id, device_name, device_type, user_agent, created_at,"
               " list_time as last_active",
               "select id as list_id, last_active as list_time, device.*,"
               "       octet_length(coalesce(user_agent, '')) as list_size"
               "  from (select user_devices.id, device_name, user_agent,"
               "               coalesce(device_type, 'unknown') as device_type,"
               "               coalesce(user_devices.created_at, 'epoch') as created_at,"
               "               coalesce(last_active, created_at, 'epoch') as last_active"
               "          from user_devices where user_id = me.id) as device"
               " where (last_active, id) < ($2, $3)"
               " order by last_active desc, id desc limit $4");

int device_link_get_user_devices(struct call *call,
                                 const struct device_link_get_user_devices_in *in,
                                 struct device_link_get_user_devices_out *out)
{
    struct list list;
    struct rows rows;

    (void)in;
    list_open(&list, call, LIST_ALL, LIST_NEWEST_FIRST);
    do {
        if (db_query_as_user(call, &find_devices, PARAMS(LIST_PARAMS(&list)), &rows) != 0)
            return -1;
        out->devices.items =
            list_fill(&list, &rows, &record_device_link_device, &out->devices.count);
        if (out->devices.items == NULL)
            return -1;
    } while (list_goes_on(&list, &rows, out));
    return list_result(&list);
}

/* ---- forgetting ---- */

STATEMENT_WRITE(
    forget_device,
    "with gone as (delete from user_devices where user_id = $1 and id = $2 returning 1),"
    " rest as (select count(*) - (select count(*) from gone) as devices"
    "            from user_devices where user_id = $1),"
    " counted as (update users set device_count = greatest(1, devices) from rest"
    "              where users.id = $1 and exists (select from gone))"
    " select devices, (select count(*) from gone) as gone from rest");

STATEMENT_WRITE(delete_user, "delete from users where id = $1");

/* With the last device nobody can be the user any more. */
static int forget_user(struct call *call)
{
    int64_t counts[SECTION_COUNT];
    struct rows rows;

    if (owned_clear(call, call->user_id, counts) != 0)
        return -1;
    return db_query(call, &delete_user, PARAMS(p_i32(call->user_id)), &rows);
}

int device_link_unlink_device(struct call *call, const struct device_link_unlink_device_in *in,
                              struct device_link_unlink_device_out *out)
{
    struct rows rows;

    if (owned_lock_all(call) != 0 ||
        db_query(call, &forget_device, PARAMS(p_i32(call->user_id), p_i64(in->device_id)), &rows) !=
            0)
        return -1;
    if (row_i64(&rows, 0, "gone") == 0)
        return fail(call, device_not_found, "device %" PRId64, in->device_id);
    out->device_count = row_i64(&rows, 0, "devices");
    out->data_deleted = out->should_clear_cookie = out->device_count == 0;
    out->message = out->data_deleted ? STR("Last device unlinked, all data deleted")
                                     : STR("Device unlinked successfully");
    return out->data_deleted ? forget_user(call) : 0;
}
