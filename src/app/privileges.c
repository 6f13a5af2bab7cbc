/* Users and groups by name or number. */
#include "app/privileges.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/memory.h"

#define ENTRY_BYTES 65536 /* a group may have many members */
#define NAME_MAX_BYTES 256

void mg_privileges_freeze(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

struct identity {
    char name[NAME_MAX_BYTES]; /* of the user; "": a number that nobody has */
    uid_t uid;
    gid_t gid;
};

static bool is_number(struct mg_str text, uint64_t *out)
{
    return mg_str_to_u64(text, UINT_MAX - 1, out); /* the last one means "none" */
}

/* Its number alone says nothing of its group. */
static enum mg_rc find_user(struct mg_str user, struct identity *out, struct mg_error *err)
{
    char *room = mg_malloc(ENTRY_BYTES);
    char name[NAME_MAX_BYTES];
    struct passwd entry, *found = NULL;
    uint64_t number;
    snprintf(name, sizeof name, "%.*s", MG_STR_ARGS(user));
    bool numeric = is_number(user, &number);
    if (numeric)
        getpwuid_r((uid_t)number, &entry, room, ENTRY_BYTES, &found);
    else
        getpwnam_r(name, &entry, room, ENTRY_BYTES, &found);
    if (found) {
        snprintf(out->name, sizeof out->name, "%s", entry.pw_name);
        out->uid = entry.pw_uid;
        out->gid = entry.pw_gid;
    } else if (numeric) {
        out->uid = (uid_t)number;
        out->gid = (gid_t)number;
    }
    free(room);
    return found || numeric ? MG_OK : mg_error_set(err, "user: there is no user '%s'", name);
}

static enum mg_rc find_group(struct mg_str group, gid_t *out, struct mg_error *err)
{
    char *room = mg_malloc(ENTRY_BYTES);
    char name[NAME_MAX_BYTES];
    struct group entry, *found = NULL;
    uint64_t number;
    snprintf(name, sizeof name, "%.*s", MG_STR_ARGS(group));
    bool numeric = is_number(group, &number);
    if (numeric)
        *out = (gid_t)number;
    else if (getgrnam_r(name, &entry, room, ENTRY_BYTES, &found) == 0 && found)
        *out = entry.gr_gid;
    free(room);
    return found || numeric ? MG_OK : mg_error_set(err, "group: there is no group '%s'", name);
}

static enum mg_rc set_groups(const struct identity *who, struct mg_error *err)
{
    int failed = who->name[0] ? initgroups(who->name, who->gid) : setgroups(1, &who->gid);
    return failed ? mg_error_set(err, "group: cannot take its groups: %m") : MG_OK;
}

static enum mg_rc become(const struct identity *who, struct mg_error *err)
{
    if (set_groups(who, err) != MG_OK)
        return MG_FAIL;
    if (setresgid(who->gid, who->gid, who->gid) != 0)
        return mg_error_set(err, "group: cannot become group %u: %m", who->gid);
    if (setresuid(who->uid, who->uid, who->uid) != 0)
        return mg_error_set(err, "user: cannot become user %u: %m", who->uid);
    if (who->uid != 0 && setuid(0) == 0)
        return mg_error_set(err, "user: root's rights can be had back");
    return MG_OK;
}

enum mg_rc mg_privileges_drop(struct mg_str user, struct mg_str group, struct mg_error *err)
{
    struct identity who = {.uid = geteuid(), .gid = getegid()};
    if (user.n && find_user(user, &who, err) != MG_OK)
        return MG_FAIL;
    if (group.n && find_group(group, &who.gid, err) != MG_OK)
        return MG_FAIL;
    if (who.uid == geteuid() && who.gid == getegid())
        return MG_OK;
    if (geteuid() != 0)
        return mg_error_set(err, "user: only root can become somebody else");
    return become(&who, err);
}
