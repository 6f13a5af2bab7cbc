/* Where policies are found, and what is no policy: mg_policies_load and mg_policies_names. */
#include "script/policies.h"

#include "base/log.h"
#include "files_test.h"
#include "script/embedded.h"
#include "script/sandbox.h"
#include "script/state.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct fixture {
    struct files_test files;
    struct mg_script *script;
    lua_State *L;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct mg_str paths[2];
    char first[PATH_MAX], second[PATH_MAX];
    files_test_start(&f->files);
    f->script = mg_script_new(&(struct mg_script_options){0});
    assert_non_null(f->script);
    f->L = f->script->L;
    snprintf(first, sizeof first, "%s/a", f->files.folder);
    snprintf(second, sizeof second, "%s/b", f->files.folder);
    paths[0] = mg_str_c(first);
    paths[1] = mg_str_c(second);
    mg_policies_set_paths(f->L, paths, 2);
    lua_newtable(f->L);
    mg_sandbox_preload(f->L, "moongate");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(lua_gettop(f->L), 0);
    mg_script_free(f->script);
    files_test_end(&f->files);
    free(f);
    return 0;
}

/* Loads one and gives the field `from` of it. */
static const char *from_of(struct fixture *f, const char *name)
{
    struct mg_error err;
    if (mg_policies_load(f->L, mg_str_c(name), &err) != MG_OK)
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(lua_gettop(f->L), 1);
    lua_getfield(f->L, 1, "from");
    const char *from = lua_tostring(f->L, -1);
    lua_settop(f->L, 0);
    return from;
}

static void check_failure(struct fixture *f, const char *name, enum mg_rc rc, const char *text)
{
    struct mg_error err;
    assert_int_equal(mg_policies_load(f->L, mg_str_c(name), &err), rc);
    assert_int_equal(lua_gettop(f->L), 0);
    if (!strstr(err.text, text))
        fail_msg("%s: %s", name, err.text);
}

static void test_found_in_order(void **state)
{
    struct fixture *f = *state;
    files_test_write(&f->files, "a/own-one.lua", "return {name = 'own-one', from = 'a file'}");
    files_test_write(&f->files, "b/own-one.lua", "return {name = 'own-one', from = 'b file'}");
    files_test_write(&f->files, "b/own-two/own-two.lua",
                     "return {name = 'own-two', from = 'b folder'}");
    files_test_write(&f->files, "a/moongate/policies/own-three.lua",
                     "return {name = 'own-three', from = 'module'}");
    assert_string_equal(from_of(f, "own-one"), "a file");
    assert_string_equal(from_of(f, "own-two"), "b folder");
    assert_string_equal(from_of(f, "own-three"), "module");
}

static void test_loaded_once(void **state)
{
    struct fixture *f = *state;
    struct mg_error err;
    files_test_write(&f->files, "a/once.lua", "return {name = 'once'}");
    assert_int_equal(mg_policies_load(f->L, MG_STR("once"), &err), MG_OK);
    assert_int_equal(mg_policies_load(f->L, MG_STR("once"), &err), MG_OK);
    assert_true(lua_rawequal(f->L, 1, 2));
    lua_settop(f->L, 0);
    /* A new state of the paths begins anew. */
    mg_policies_set_paths(f->L, NULL, 0);
    check_failure(f, "once", MG_EOF, "unknown policy 'once'");
}

static void test_not_found(void **state)
{
    static const char *const names[] = {
        "nothing",
        "",
        "-x",
        "X",
        "a_b",
        "../a/once",
        "a.b",
        "a/b",
        "a b",
        "a\nb",
        "a123456789a123456789a123456789a123456789a123456789a123456789a1234",
    };
    for (size_t i = 0; i < COUNT(names); i++)
        check_failure(*state, names[i], MG_EOF, "unknown policy '");
}

static void test_bad_modules(void **state)
{
    static const struct {
        const char *name, *text, *error;
    } cases[] = {
        {"syntax", "return {", "/a/syntax.lua:1: "},
        {"raises", "\nerror 'no'", "/a/raises.lua:2: no"},
        {"global", "x = 1", "assignment to undeclared global 'x'"},
        {"raises-table", "error {}", "/a/raises-table.lua:1: error value is {}"},
        {"raises-no-place", "error('no', 0)", "/a/raises-no-place.lua: no"},
        {"nil-module", "", "/a/nil-module.lua: must return a table, returned nil"},
        {"text-module", "return 'x'", "must return a table, returned string"},
        {"nameless", "return {}", "/a/nameless.lua: has no name, must have name = \"nameless\""},
        {"misnamed", "return {name = 'other'}", "is called 'other'"},
        {"odd-name", "return {name = {}}", "is called '?'"},
        {"bytecode", "\033Lua", "/a/bytecode.lua: "},
    };
    struct fixture *f = *state;
    char file[64];
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(file, sizeof file, "a/%s.lua", cases[i].name);
        files_test_write(&f->files, file, cases[i].text);
        check_failure(f, cases[i].name, MG_FAIL, cases[i].error);
    }
}

/* A traceback is nothing for whoever wrote a config. */
static void test_no_traceback(void **state)
{
    struct fixture *f = *state;
    struct mg_error err;
    files_test_write(&f->files, "a/raises.lua", "error 'no'");
    assert_int_equal(mg_policies_load(f->L, MG_STR("raises"), &err), MG_FAIL);
    assert_null(strchr(err.text, '\n'));
}

/* A file that is there but cannot be read must not be passed over for the next. */
static void test_unreadable(void **state)
{
    struct fixture *f = *state;
    files_test_write(&f->files, "a/folder.lua/x", "");
    files_test_write(&f->files, "b/folder.lua", "return {name = 'folder'}");
    check_failure(f, "folder", MG_FAIL, "/a/folder.lua: ");
}

/* Name and file of some policy that is built in; false when none is. */
static bool any_built_in(char *name, size_t room, const struct mg_embedded_file **file)
{
    for (size_t i = 0; i < mg_embedded_file_count; i++) {
        struct mg_str rest = mg_str_c(mg_embedded_files[i].name), item, last = MG_STR_NONE;
        if (!mg_str_starts(rest, MG_STR("policies/")))
            continue;
        *file = &mg_embedded_files[i];
        while (mg_str_split(&rest, '/', &item))
            last = item;
        snprintf(name, room, "%.*s", (int)(last.n - 4), last.p);
        return true;
    }
    return false;
}

static void test_hiding_a_built_in(void **state)
{
    struct fixture *f = *state;
    const struct mg_embedded_file *built_in;
    char name[80], path[100], text[200];
    if (!any_built_in(name, sizeof name, &built_in))
        skip();
    snprintf(path, sizeof path, "a/%s.lua", name);
    snprintf(text, sizeof text, "return {name = '%s', from = 'mine'}", name);
    files_test_write(&f->files, path, text);
    check_failure(f, name, MG_FAIL, "hides the built-in policy of that name");
    snprintf(text, sizeof text, "return {name = '%s', replace = 1}", name);
    files_test_write(&f->files, path, text);
    check_failure(f, name, MG_FAIL, "hides the built-in policy of that name");
    snprintf(text, sizeof text, "return {name = '%s', replace = true, from = 'mine'}", name);
    files_test_write(&f->files, path, text);
    assert_string_equal(from_of(f, name), "mine");
}

/* In our own source tree the default path finds the files that are built in. */
static void test_a_copy_hides_nothing(void **state)
{
    struct fixture *f = *state;
    const struct mg_embedded_file *built_in;
    struct mg_error err;
    char name[80], path[100];
    if (!any_built_in(name, sizeof name, &built_in))
        skip();
    snprintf(path, sizeof path, "a/%s.lua", name);
    files_test_write(&f->files, path, built_in->data);
    if (mg_policies_load(f->L, mg_str_c(name), &err) != MG_OK)
        assert_null(strstr(err.text, "hides"));
    lua_settop(f->L, 0);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool listed;
    } cases[] = {
        {"own-one", true}, {"own-two", true}, {"empty-folder", false},
        {"spec", false},   {"x_y", false},    {"readme", false},
    };
    struct fixture *f = *state;
    files_test_write(&f->files, "a/own-one.lua", "");
    files_test_write(&f->files, "a/own-one_spec.lua", "");
    files_test_write(&f->files, "a/x_y.lua", "");
    files_test_write(&f->files, "a/readme.md", "");
    files_test_write(&f->files, "b/own-two/own-two.lua", "");
    files_test_write(&f->files, "b/empty-folder/x.lua", "");
    mg_policies_names(f->L);
    lua_Integer count = (lua_Integer)lua_rawlen(f->L, 1);
    for (size_t c = 0; c < COUNT(cases); c++) {
        bool listed = false;
        for (lua_Integer i = 1; i <= count; i++) {
            lua_rawgeti(f->L, 1, i);
            listed = listed || strcmp(lua_tostring(f->L, -1), cases[c].name) == 0;
            lua_pop(f->L, 1);
        }
        if (listed != cases[c].listed)
            fail_msg("%s", cases[c].name);
    }
    for (lua_Integer i = 2; i <= count; i++) {
        lua_rawgeti(f->L, 1, i - 1);
        lua_rawgeti(f->L, 1, i);
        assert_true(strcmp(lua_tostring(f->L, -2), lua_tostring(f->L, -1)) < 0);
        lua_pop(f->L, 2);
    }
    lua_settop(f->L, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_found_in_order),    TEST(test_loaded_once),          TEST(test_not_found),
        TEST(test_bad_modules),       TEST(test_no_traceback),         TEST(test_unreadable),
        TEST(test_hiding_a_built_in), TEST(test_a_copy_hides_nothing), TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
