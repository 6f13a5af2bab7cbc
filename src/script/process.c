/*
 * Forks, and waiting for their ends. The main thread.
 *
 * Always true: from the first fork or wait on the signals that end a wait are blocked, and only
 * taken by sigtimedwait, so that none is lost between looking and waiting.
 */
#include "script/process.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MG_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MG_SANITIZED 1
#endif
#endif

/* Of a child on its own: endless loops must not take the machine along. */
#define MEMORY_LIMIT ((rlim_t)2 << 30)

static sigset_t mask_before, awaited;
static bool is_blocked;

static void block_signals(void)
{
    if (is_blocked)
        return;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    sigprocmask(SIG_BLOCK, &awaited, &mask_before);
    is_blocked = true;
}

static lua_Number now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9;
}

/* --- fork --- */

static void limit_memory(void)
{
#ifndef MG_SANITIZED /* their shadow memory is larger by far */
    const struct rlimit limit = {MEMORY_LIMIT, MEMORY_LIMIT};
    setrlimit(RLIMIT_DATA, &limit);
#endif
}

/* False when there is no such file to be had. */
static bool redirect(const char *output)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
           dup2(out, STDERR_FILENO) >= 0;
}

static void begin_child(pid_t parent, const char *output)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* it has ended meanwhile */
    is_blocked = false;
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
    if (!output)
        return;
    setpgid(0, 0);
    limit_memory();
    if (!redirect(output))
        _exit(1);
}

static int l_fork(lua_State *L)
{
    const char *output = luaL_optstring(L, 1, NULL);
    pid_t parent = getpid();
    block_signals();
    fflush(NULL); /* or else the child would write what is left once more */
    pid_t pid = fork();
    if (pid < 0)
        return luaL_error(L, "cannot fork: %s", strerror(errno));
    if (pid == 0)
        begin_child(parent, output);
    else if (output)
        setpgid(pid, pid); /* it does the same: whoever comes first */
    lua_pushinteger(L, pid);
    return 1;
}

static int l_kill(lua_State *L)
{
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    luaL_argcheck(L, pid > 1, 1, "not a child");
    if (kill(-pid, SIGKILL) != 0) /* it has no group of its own */
        kill(pid, SIGKILL);
    return 0;
}

/* --- wait --- */

static int push_end(lua_State *L, pid_t pid, int status)
{
    lua_pushinteger(L, pid);
    lua_pushinteger(L, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    return 2;
}

static int push_nothing(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

/* The signal that came; 0: none in time. */
static int take_signal(lua_Number seconds)
{
    struct timespec left = {0};
    if (seconds > 0) {
        left.tv_sec = (time_t)seconds;
        left.tv_nsec = (long)((seconds - (lua_Number)left.tv_sec) * 1e9);
    }
    int number = sigtimedwait(&awaited, NULL, &left);
    return number > 0 ? number : errno == EINTR ? SIGCHLD : 0;
}

static int l_wait(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1), until = now() + seconds;
    luaL_argcheck(L, seconds >= 0 && seconds <= 1e6, 1, "seconds from 0 to 1e6 expected");
    block_signals();
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0)
            return push_end(L, pid, status);
        int number = take_signal(until - now());
        if (number == SIGINT || number == SIGTERM)
            return push_nothing(L, "interrupted");
        if (number == 0)
            return push_nothing(L, "timeout");
    }
}

/* --- the machine --- */

static int l_cpus(lua_State *L)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    lua_pushinteger(L, count > 0 ? count : 1);
    return 1;
}

static int l_clock(lua_State *L)
{
    lua_pushnumber(L, now());
    return 1;
}

static int l_stat(lua_State *L)
{
    struct stat st;
    if (stat(luaL_checkstring(L, 1), &st) != 0)
        return 0;
    lua_pushfstring(L, "%I:%I", (LUAI_UACINT)st.st_dev, (LUAI_UACINT)st.st_ino);
    lua_pushfstring(L, "%I:%I:%I.%I", (LUAI_UACINT)st.st_ino, (LUAI_UACINT)st.st_size,
                    (LUAI_UACINT)st.st_mtim.tv_sec, (LUAI_UACINT)st.st_mtim.tv_nsec);
    return 2;
}

int mg_process_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"fork", l_fork}, {"kill", l_kill},   {"wait", l_wait},
                                         {"cpus", l_cpus}, {"clock", l_clock}, {"stat", l_stat},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
