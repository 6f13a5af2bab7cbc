/* A stream cut anywhere gives the same texts as one that comes whole. The reply to each of them is
 * one line of JSON, whatever it repeats. */
#include "app/ndjson_frame.h"
#include "app/ndjson_message.h"
#include "base/json.h"

static void check_reply(struct mg_str text, struct mg_arena *arena, struct mg_buf *scratch)
{
    struct mg_ndjson_message m;
    struct mg_error err;
    struct mg_buf out;
    struct mg_json_reader r;
    enum mg_json_token token;
    struct mg_json_options options = {.depth_limit = MG_JSON_DEPTH_MAX,
                                      .big_numbers_as_float = true};
    mg_buf_init(&out, 64 * text.n + 4096);
    struct mg_ndjson_reply reply = {.type = MG_STR("error")};
    if (mg_ndjson_message_read(arena, text, scratch, &m, &err) == MG_OK)
        reply.text = m.path;
    mg_ndjson_reply_write(&out, &m, &reply);
    MG_BUG_ON(out.failed || memchr(out.p, '\n', out.n) != out.p + out.n - 1);
    mg_json_reader_init(&r, mg_buf_str(&out), &options, scratch);
    do
        token = mg_json_next(&r);
    while (token > MG_JSON_END);
    MG_BUG_ON(token != MG_JSON_END);
    mg_buf_release(&out);
    mg_arena_release(arena);
}

/* Adds what is found in the stream, which comes in two parts. */
static void split(struct mg_str all, size_t cut, struct mg_buf *found, struct mg_arena *arena,
                  struct mg_buf *scratch)
{
    struct mg_ndjson_frame f = {._depth = 0};
    size_t from = 0, to = cut;
    for (;;) {
        struct mg_str text;
        size_t used;
        enum mg_ndjson_frame_result result =
            mg_ndjson_frame_next(&f, mg_str(all.p + from, to - from), to == all.n, &text, &used);
        MG_BUG_ON(used > to - from || (result != MG_NDJSON_MORE && used == 0));
        from += used;
        if (result == MG_NDJSON_MORE && to == all.n)
            return;
        if (result == MG_NDJSON_MORE) {
            to = all.n;
            continue;
        }
        mg_buf_printf(found, "%d:", result);
        mg_buf_add_str(found, text);
        if (arena && result == MG_NDJSON_TEXT)
            check_reply(text, arena, scratch);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_buf whole, parts, scratch;
    if (size < 1)
        return 0;
    struct mg_str all = mg_str((const char *)data + 1, size - 1);
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    mg_buf_init(&whole, 16 * size + 64);
    mg_buf_init(&parts, 16 * size + 64);
    mg_buf_init(&scratch, 16 * size + 64);
    split(all, all.n, &whole, &arena, &scratch);
    split(all, all.n * data[0] / 256, &parts, NULL, NULL);
    MG_BUG_ON(whole.failed || !mg_str_eq(mg_buf_str(&whole), mg_buf_str(&parts)));
    mg_buf_release(&scratch);
    mg_buf_release(&parts);
    mg_buf_release(&whole);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
