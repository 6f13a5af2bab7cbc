/*
 * One request to a service: which backends are tried, and in what order. Worker thread.
 *
 * A try that fails is followed by another one
 *   - on the same backend, when a kept connection turned out closed (try.c),
 *   - on another backend, when there was no connection: nothing was sent, so that is always safe,
 *   - after a while, when the rules for retries name the failure and the budget allows it;
 * and a try that is slow is joined by a hedge. The first response that no rule sends back wins.
 */
#include "upstream/fetch.h"

#include "base/log.h"

static uint64_t now(const struct mg_fetch *f)
{
    return mg_loop_now(f->pools->loop);
}

bool mg_fetch_is_idempotent(enum mg_method m)
{
    return m == MG_METHOD_GET || m == MG_METHOD_HEAD || m == MG_METHOD_PUT ||
           m == MG_METHOD_DELETE || m == MG_METHOD_OPTIONS || m == MG_METHOD_TRACE;
}

/* --- counting --- */

/* Once for each fetch: what it came to, whoever asked for it. */
static void count(struct mg_fetch *f, enum mg_tally_class class)
{
    struct mg_tally_cell *tally = f->picker->tally;
    if (!tally || f->_counted)
        return;
    f->_counted = true;
    mg_tally_count(tally, class);
    mg_tally_time(tally, now(f) - f->started_ns);
}

/* --- the circuit breaker --- */

static void report(struct mg_fetch *f, enum mg_breaker_outcome outcome)
{
    if (!f->_admitted)
        return;
    f->_admitted = false;
    switch (mg_breaker_report(f->_guards->breaker, f->_ticket, outcome, now(f))) {
    case MG_BREAKER_OPENED:
        mg_log_warn("circuit opened", MG_LOG_STR("service", f->_config->name),
                    MG_LOG_C("reason", f->error ? mg_fetch_error_code(f->error) : "status"));
        break;
    case MG_BREAKER_CLOSED:
        mg_log_info("circuit closed", MG_LOG_STR("service", f->_config->name));
        break;
    case MG_BREAKER_SAME:
        break;
    }
}

static enum mg_breaker_outcome judge_failure(enum mg_fetch_error error)
{
    switch (error) {
    case MG_FETCH_NO_BACKEND:
    case MG_FETCH_REQUEST_BODY:
    case MG_FETCH_OVERLOADED:
        return MG_BREAKER_UNKNOWN; /* no backend had a part in it */
    default:
        return MG_BREAKER_FAILURE;
    }
}

static void report_response(struct mg_fetch *f)
{
    if (f->_admitted)
        report(f, mg_breaker_judge(mg_breaker_config(f->_guards->breaker), f->out->response.status,
                                   f->first_byte_ns - f->_began_ns));
}

/* Ended from outside: an owner who waited until its time was over has seen a failure, and one whose
 * client left has seen nothing. */
static void report_given_up(struct mg_fetch *f)
{
    bool late = f->deadline_ns && now(f) >= f->deadline_ns;
    report(f, late ? MG_BREAKER_FAILURE : MG_BREAKER_UNKNOWN);
}

static bool admit(struct mg_fetch *f)
{
    if (!f->_guards || !f->_guards->breaker)
        return true;
    f->_admitted = mg_breaker_admit(f->_guards->breaker, now(f), &f->_ticket);
    f->_trial = f->_admitted && mg_breaker_is_trial(f->_ticket);
    return f->_admitted;
}

/* More than one try: not for a trial, nor when the circuit has opened meanwhile. */
static bool may_add_tries(const struct mg_fetch *f)
{
    return !f->_trial && !(f->_admitted && mg_breaker_refuses(f->_guards->breaker, now(f)));
}

/* --- health of backends --- */

static void backend_failed(struct mg_fetch *f, struct mg_backend *b, const char *reason)
{
    const struct mg_guards *g = f->_guards;
    if (!g || !g->config.outliers.errors)
        return;
    uint64_t out_ns = mg_outlier_failed(&g->config.outliers, b, f->picker->_members, now(f));
    if (out_ns)
        mg_log_warn("backend ejected", MG_LOG_STR("service", f->_config->name),
                    MG_LOG_C("backend", b->label), MG_LOG_C("reason", reason),
                    MG_LOG_INT("for_ms", (int64_t)(out_ns / MG_MILLISECOND)));
}

static void backend_answered(struct mg_fetch *f, const struct mg_try *t)
{
    struct mg_backend *b = t->backend;
    if (f->_config->balance == MG_BALANCE_LATENCY)
        mg_backend_saw_latency(b, now(f) - t->connected_ns, now(f));
    if (t->out.response.status >= 500)
        backend_failed(f, b, "status");
    else if (f->_guards && f->_guards->config.outliers.errors)
        mg_outlier_succeeded(b);
}

/* --- bodies --- */

/* Can the body be sent once more? */
static bool is_body_whole(const struct mg_fetch *f, const struct mg_try *t)
{
    return !f->body || f->_body_bytes.p || f->body->length == 0 || t->out.sent_body_bytes == 0;
}

/* Can two tries send it? Then each has one of its own. */
static bool is_body_shareable(const struct mg_fetch *f)
{
    return !f->body || f->_body_bytes.p || f->body->length == 0;
}

static struct mg_body *next_body(struct mg_fetch *f)
{
    if (!f->body || f->attempts == 0)
        return f->body;
    if (f->_body_bytes.p)
        return mg_body_fixed(f->arena, f->_body_bytes);
    return f->body->length == 0 ? mg_body_empty(f->arena) : f->body;
}

/* --- tries --- */

static struct mg_backend *pick(struct mg_fetch *f, size_t tried_count)
{
    const struct mg_pick pick = {
        .tried = f->_tried,
        .tried_count = tried_count,
        .now_ns = now(f),
        .key = f->key,
        .token = f->token,
    };
    return mg_picker_next(f->picker, &pick);
}

static void start_try(struct mg_fetch *f, struct mg_try *t, struct mg_backend *b)
{
    if (f->_tried_count == MG_FETCH_TRIED) /* the latest are the ones to avoid */
        memmove(f->_tried, f->_tried + 1, --f->_tried_count * sizeof f->_tried[0]);
    f->_tried[f->_tried_count++] = b;
    f->backend = b;
    f->_running++;
    mg_try_start(t, b, next_body(f));
}

static void fail(struct mg_fetch *f)
{
    mg_timer_stop(&f->_timer);
    report(f, judge_failure(f->error));
    count(f, MG_TALLY_CUT);
    f->on_failed(f);
}

static void on_soon(void *arg)
{
    fail(arg);
}

static void fail_later(struct mg_fetch *f, enum mg_fetch_error error, const char *detail)
{
    f->error = error;
    f->detail = detail;
    mg_soon_run(f->pools->loop, &f->_soon);
}

/* --- hedges --- */

static void arm_hedge(struct mg_fetch *f)
{
    const struct mg_hedge_config *hedge = f->_guards ? &f->_guards->config.hedge : NULL;
    if (!hedge || f->_try_count > hedge->max || f->_trial || !is_body_shareable(f) ||
        !mg_fetch_is_idempotent(f->request->method_id))
        return;
    f->_timer_is = MG_FETCH_TO_HEDGE;
    mg_timer_set(&f->_timer, now(f) + hedge->delay_ns);
}

static void on_try_response(struct mg_try *t);
static void on_try_failed(struct mg_try *t);

static struct mg_try *new_try(struct mg_fetch *f, struct mg_try *t)
{
    mg_try_init(t, f);
    t->on_response = on_try_response;
    t->on_failed = on_try_failed;
    f->_tries[f->_try_count++] = t;
    return t;
}

static void start_hedge(struct mg_fetch *f)
{
    struct mg_backend *before = f->backend, *b;
    if (!may_add_tries(f) || !(b = pick(f, f->_tried_count)) ||
        !mg_retry_budget_take(f->_guards->budget, now(f)))
        return;
    start_try(f, new_try(f, mg_arena_calloc(f->arena, sizeof(struct mg_try))), b);
    f->backend = before; /* until it wins */
    arm_hedge(f);
}

/* --- retries --- */

static const struct mg_retry_config *retry_rule(const struct mg_fetch *f)
{
    if (f->retry)
        return f->retry;
    return f->_guards && f->_guards->config.retry.attempts ? &f->_guards->config.retry : NULL;
}

static bool allows_retry(const struct mg_fetch *f, const struct mg_retry_config *rule,
                         const struct mg_try *t)
{
    return f->_retries < rule->attempts && mg_retry_on_method(rule, f->request->method_id) &&
           is_body_whole(f, t) && may_add_tries(f);
}

/* Waits before the next attempt, for as long as the backend asks when it does. False: there is
 * none, for it would come too late, or be one too many. */
static bool retry_later(struct mg_fetch *f, const struct mg_retry_config *rule, uint64_t asked_ns)
{
    uint64_t delay = mg_retry_backoff(rule, f->_retries + 1, mg_picker_random(f->picker));
    uint64_t at = now(f) + (delay > asked_ns ? delay : asked_ns);
    if (f->deadline_ns && at >= f->deadline_ns)
        return false;
    if (f->_guards && f->_guards->budget && !mg_retry_budget_take(f->_guards->budget, now(f)))
        return false;
    f->_retries++;
    f->_timer_is = MG_FETCH_TO_RETRY;
    mg_timer_set(&f->_timer, at);
    return true;
}

static void retry_now(struct mg_fetch *f)
{
    /* Another backend if there is one, else at least not the same at once. */
    struct mg_backend *b = pick(f, f->_tried_count);
    if (!b && f->_tried_count > 1) {
        f->_tried[0] = f->_tried[f->_tried_count - 1];
        f->_tried_count = 1;
        b = pick(f, 1);
    }
    if (!b) {
        f->_tried_count = 0;
        b = pick(f, 0);
    }
    if (b) {
        start_try(f, &f->_first, b);
        arm_hedge(f);
        return;
    }
    if (!f->error) {
        f->error = MG_FETCH_NO_BACKEND;
        f->detail = "no-backend";
    }
    fail(f);
}

/* --- the queue --- */

static void tell_refusal(struct mg_fetch *f)
{
    uint32_t count = mg_gate_count_refusal(f->_guards->gate, now(f));
    if (count)
        mg_log_warn("service overloaded", MG_LOG_STR("service", f->_config->name),
                    MG_LOG_INT("refused", count));
}

static void leave_queue(struct mg_fetch *f)
{
    if (f->_queued)
        mg_gate_give_up(&f->_turn);
    f->_queued = false;
}

static void waited_too_long(struct mg_fetch *f)
{
    leave_queue(f);
    tell_refusal(f);
    f->error = MG_FETCH_OVERLOADED;
    f->detail = "queue-timeout";
    fail(f);
}

static void on_timer(void *arg)
{
    struct mg_fetch *f = arg;
    switch (f->_timer_is) {
    case MG_FETCH_TO_HEDGE:
        start_hedge(f);
        break;
    case MG_FETCH_TO_RETRY:
        retry_now(f);
        break;
    case MG_FETCH_TO_LEAVE_QUEUE:
        waited_too_long(f);
        break;
    }
}

/* --- what came of a try --- */

static bool is_connect_error(enum mg_fetch_error e)
{
    return e == MG_FETCH_CONNECT_FAILED || e == MG_FETCH_CONNECT_TIMEOUT || e == MG_FETCH_TLS;
}

/* Nothing was sent: any other backend will do. */
static bool fail_over(struct mg_fetch *f, struct mg_try *t)
{
    struct mg_backend *b;
    if (!is_connect_error(t->error) || f->_failovers + 1 >= MG_FETCH_TRIES ||
        !(b = pick(f, f->_tried_count)))
        return false;
    f->_failovers++;
    start_try(f, t, b);
    return true;
}

static void on_try_failed(struct mg_try *t)
{
    struct mg_fetch *f = t->fetch;
    const struct mg_retry_config *rule = retry_rule(f);
    f->_running--;
    if (t->error != MG_FETCH_REQUEST_BODY)
        backend_failed(f, t->backend, mg_fetch_error_code(t->error));
    if (fail_over(f, t) || f->_running)
        return; /* another one may still answer */
    f->error = t->error;
    f->detail = t->detail;
    f->backend = t->backend;
    f->connected_ns = t->connected_ns;
    mg_timer_stop(&f->_timer);
    if (rule && mg_retry_on_error(rule, t->error) && allows_retry(f, rule, t) &&
        retry_later(f, rule, 0))
        return;
    fail(f);
}

static void win(struct mg_fetch *f, struct mg_try *t)
{
    mg_timer_stop(&f->_timer);
    for (uint32_t i = 0; i < f->_try_count; i++)
        if (f->_tries[i] != t)
            mg_try_end(f->_tries[i]);
    f->_running = 0;
    f->error = MG_FETCH_OK;
    f->detail = NULL;
    f->out = &t->out;
    f->backend = t->backend;
    f->connected_ns = t->connected_ns;
    f->first_byte_ns = now(f);
    report_response(f);
    count(f, mg_tally_class(f->out->response.status));
    f->on_response(f);
}

/* A response that the rules send back. Its try keeps it until the next one begins, so that its body
 * can arrive and the connection be kept. */
static bool is_sent_back(struct mg_fetch *f, struct mg_try *t)
{
    const struct mg_retry_config *rule = retry_rule(f);
    const struct mg_message *response = &t->out.response;
    if (!rule || !mg_retry_on_status(rule, response->status))
        return false;
    if (f->_running) {
        mg_try_end(t);
        return true; /* another one may be better */
    }
    return allows_retry(f, rule, t) &&
           retry_later(f, rule, mg_retry_after(response, mg_loop_wall(f->pools->loop)));
}

static void on_try_response(struct mg_try *t)
{
    struct mg_fetch *f = t->fetch;
    f->_running--;
    backend_answered(f, t);
    if (!is_sent_back(f, t))
        win(f, t);
}

/* --- life --- */

static void init(struct mg_fetch *f)
{
    f->_config = mg_service_config(f->picker->service);
    f->_guards = mg_service_guards(f->picker->service);
    f->error = MG_FETCH_OK;
    f->backend = NULL;
    f->attempts = 0;
    f->started_ns = now(f);
    f->connected_ns = f->first_byte_ns = f->retry_after_ns = 0;
    f->_try_count = f->_running = f->_tried_count = f->_failovers = f->_retries = 0;
    f->_ended = f->_admitted = f->_trial = f->_queued = f->_inside = f->_counted = false;
    if (!f->body || !mg_body_is_fixed(f->body, &f->_body_bytes))
        f->_body_bytes = MG_STR_NONE;
    mg_timer_init(&f->_timer, f->pools->loop, on_timer, f);
    mg_soon_init(&f->_soon, on_soon, f);
    f->out = &new_try(f, &f->_first)->out;
}

static void refuse(struct mg_fetch *f)
{
    f->retry_after_ns = mg_breaker_retry_after(f->_guards->breaker, now(f));
    fail_later(f, MG_FETCH_CIRCUIT_OPEN, "circuit-open");
}

/* It is let in: the first try. */
static void begin(struct mg_fetch *f)
{
    struct mg_backend *b;
    f->_began_ns = now(f);
    if (!admit(f)) {
        refuse(f);
        return;
    }
    if (f->_guards && f->_guards->budget)
        mg_retry_budget_add_request(f->_guards->budget, now(f));
    if (!(b = pick(f, 0))) {
        fail_later(f, MG_FETCH_NO_BACKEND, "no-backend");
        return;
    }
    start_try(f, &f->_first, b);
    arm_hedge(f);
}

static void on_turn(struct mg_gate_wait *turn)
{
    struct mg_fetch *f = MG_CONTAINER_OF(turn, struct mg_fetch, _turn);
    f->_queued = false;
    f->_inside = true;
    mg_timer_stop(&f->_timer);
    begin(f);
}

static void join_queue(struct mg_fetch *f)
{
    f->_turn.on_entered = on_turn;
    f->_queued = mg_gate_queue(f->_guards->gate, &f->_turn, &f->pools->turns);
    if (!f->_queued) {
        tell_refusal(f);
        fail_later(f, MG_FETCH_OVERLOADED, "overloaded");
        return;
    }
    f->_timer_is = MG_FETCH_TO_LEAVE_QUEUE;
    mg_timer_set(&f->_timer, now(f) + f->_guards->config.gate.queue_ns);
}

void mg_fetch_start(struct mg_fetch *f)
{
    init(f);
    struct mg_gate *gate = f->_guards ? f->_guards->gate : NULL;
    if (!gate) {
        begin(f);
    } else if (f->_guards->breaker && mg_breaker_refuses(f->_guards->breaker, now(f))) {
        refuse(f); /* there is nothing to wait for */
    } else if (mg_gate_enter(gate)) {
        f->_inside = true;
        begin(f);
    } else {
        join_queue(f);
    }
}

void mg_fetch_end(struct mg_fetch *f)
{
    if (f->_ended)
        return;
    f->_ended = true;
    report_given_up(f);
    count(f, MG_TALLY_CUT);
    mg_soon_cancel(&f->_soon);
    mg_timer_release(&f->_timer);
    for (uint32_t i = 0; i < f->_try_count; i++)
        mg_try_release(f->_tries[i]);
    leave_queue(f);
    if (f->_inside)
        mg_gate_leave(f->_guards->gate);
}

static void let_go(void *arg)
{
    mg_backend_unref(arg);
}

struct mg_fetch *mg_fetch_account(const struct mg_fetch *f, struct mg_arena *arena)
{
    struct mg_fetch *account = mg_arena_calloc(arena, sizeof *account);
    account->picker = f->picker;
    account->error = f->error;
    account->attempts = f->attempts;
    account->started_ns = f->started_ns;
    account->connected_ns = f->connected_ns;
    account->first_byte_ns = f->first_byte_ns;
    account->_ended = true;
    if (f->backend) {
        mg_backend_ref(f->backend);
        account->backend = f->backend;
        mg_arena_on_release(arena, let_go, f->backend);
    }
    return account;
}

int mg_fetch_error_status(const struct mg_fetch *f)
{
    switch (f->error) {
    case MG_FETCH_CONNECT_TIMEOUT:
    case MG_FETCH_FIRST_BYTE_TIMEOUT:
    case MG_FETCH_IDLE_TIMEOUT:
        return 504;
    case MG_FETCH_RESET:
    case MG_FETCH_BAD_RESPONSE:
    case MG_FETCH_TLS:
        return 502;
    case MG_FETCH_REQUEST_BODY:
        return f->body && f->body->status ? f->body->status : 400;
    case MG_FETCH_OVERLOADED:
        return 503;
    default:
        return f->_config->status_when_down ? f->_config->status_when_down : 503;
    }
}
