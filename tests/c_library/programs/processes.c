/* A host that forks, leaves, has signal handlers and many cameras: processes WHAT */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static uint16_t frame[EDGE * EDGE];
static ZarrStream* stream;
static volatile sig_atomic_t stop;
static volatile sig_atomic_t signals;

static void
append(ZarrStream* to)
{
    size_t taken = 0;
    EXPECT(ZarrStream_append(to, frame, FRAME, &taken, NULL) == ZarrStatusCode_Success);
    EXPECT(taken == FRAME);
}

static void*
record_until_stopped(void* unused)
{
    (void)unused;
    while (!stop) {
        append(stream);
    }
    return NULL;
}

static void*
record_some(void* unused)
{
    (void)unused;
    for (int i = 0; i < 25; ++i) {
        append(stream);
    }
    return NULL;
}

/* Children begin in the middle of a recording; some record on their own, some only leave. */
static void
fork_while_recording(void)
{
    pthread_t camera;
    stream = open_stream("fork.zarr", 0);
    append(stream);
    EXPECT(pthread_create(&camera, NULL, record_until_stopped, NULL) == 0);
    for (int number = 0; number < 4; ++number) {
        const pid_t child = fork();
        if (child == 0) {
            size_t taken = 7;
            alarm(60);
            EXPECT(ZarrStream_append(stream, frame, FRAME, &taken, NULL) ==
                   ZarrStatusCode_InvalidArgument);
            EXPECT(taken == 0 && says(ZarrStatusCode_InvalidArgument, "belongs to the process"));
            if (number == 0) {
                ZarrStream* own = open_stream("child.zarr", 0);
                EXPECT(own != NULL);
                append(own); /* and exit() finishes it */
            }
            if (number % 2 == 0) {
                ZarrStream_destroy(stream);
            }
            exit(0);
        }
        int status = 0;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    }
    stop = 1;
    EXPECT(pthread_join(camera, NULL) == 0);
    EXPECT(ZarrStream_close(stream) == ZarrStatusCode_Success);
    ZarrStream_destroy(stream);
}

/* Several cameras share a stream, from threads with little memory. */
static void
share(void)
{
    pthread_t cameras[4];
    pthread_attr_t small;
    stream = open_stream("share.zarr", 0);
    EXPECT(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 128 * 1024) == 0);
    for (int i = 0; i < 4; ++i) {
        EXPECT(pthread_create(&cameras[i], &small, record_some, NULL) == 0);
    }
    for (int i = 0; i < 4; ++i) {
        EXPECT(pthread_join(cameras[i], NULL) == 0);
    }
    ZarrStream_destroy(stream);
}

static void
on_signal(int number)
{
    (void)number;
    ++signals;
}

/* Handlers and masks are those of the host, and it gets the signals. */
static void
keep_signals(void)
{
    struct sigaction before[NSIG], after;
    sigset_t mask_before, mask_after;
    signal(SIGTERM, on_signal);
    for (int number = 1; number < NSIG; ++number) {
        sigaction(number, NULL, &before[number]);
    }
    pthread_sigmask(0, NULL, &mask_before);
    stream = open_stream("signals.zarr", 0);
    append(stream);
    raise(SIGTERM);
    ZarrStream_destroy(stream);
    for (int number = 1; number < NSIG; ++number) {
        if (sigaction(number, NULL, &after) == 0) {
            EXPECT(after.sa_handler == before[number].sa_handler);
        }
    }
    pthread_sigmask(0, NULL, &mask_after);
    EXPECT(sigismember(&mask_before, SIGPIPE) == sigismember(&mask_after, SIGPIPE));
    EXPECT(signals == 1);
}

static long
resident_kib(void)
{
    long size = 0, resident = 0;
    FILE* file = fopen("/proc/self/statm", "r");
    EXPECT(file != NULL && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Streams come and go; print the memory in between. */
static void
come_and_go(int count)
{
    for (int i = 1; i <= count; ++i) {
        stream = open_stream("come_and_go.zarr", 0);
        append(stream);
        ZarrStream_destroy(stream);
        if (i % (count / 4) == 0) {
            printf("%ld\n", resident_kib());
        }
    }
}

int
main(int argc, char** argv)
{
    const char* what = argc > 1 ? argv[1] : "";
    memset(frame, 1, sizeof(frame));
    if (strcmp(what, "fork") == 0) {
        fork_while_recording();
    } else if (strcmp(what, "share") == 0) {
        share();
    } else if (strcmp(what, "signals") == 0) {
        keep_signals();
    } else if (strcmp(what, "come-and-go") == 0) {
        come_and_go(atoi(argv[2]));
    } else {
        stream = open_stream("left.zarr", 0); /* and never destroyed */
        append(stream);
    }
    return 0;
}
