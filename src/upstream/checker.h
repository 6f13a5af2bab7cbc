/*
 * Active health checks: asks each backend of a service now and then whether it is well, and writes
 * the verdict into its health (upstream/health.h), where every pick reads it. Control thread.
 */
#ifndef MG_UPSTREAM_CHECKER_H
#define MG_UPSTREAM_CHECKER_H

#include "upstream/agent.h"
#include "upstream/service.h"

#define MG_CHECK_STATUS_MAX 599

/* How the backends of a service are checked. Strings and lists live as long as the check. */
struct mg_check {
    bool tcp;                    /* a connection (and its handshake) is enough */
    uint64_t every_ns;           /* up to a tenth later */
    uint64_t timeout_ns;         /* of one check */
    uint32_t healthy, unhealthy; /* so many in a row bring a backend up, or down */
    struct mg_str path;          /* with its query */
    struct mg_str host;          /* for Host; empty: as the service says, or else the backend's */
    struct mg_str body;          /* is in the answer; empty: any will do */
    const struct mg_agent_field *fields;
    size_t field_count;
    uint8_t expect[MG_CHECK_STATUS_MAX / 8 + 1]; /* a bit for each status that is good */
};

struct mg_checker;

/* Borrows both, which live longer. */
struct mg_checker *mg_checker_new(struct mg_loop *loop, struct mg_agent *agent);
/* Backends keep the verdicts that they have. NULL is fine. */
void mg_checker_free(struct mg_checker *all);

/* Begins to check the members that a service has, and those it will have (takes a ref). Does
 * nothing for one whose config has no check. Backends that another service of the checker shares
 * keep what is known of them, so a reload adds the new services before it removes the old ones. */
void mg_checker_add(struct mg_checker *all, struct mg_service *service);
/* Backends that nobody checks any more are up. */
void mg_checker_remove(struct mg_checker *all, struct mg_service *service);

#endif
