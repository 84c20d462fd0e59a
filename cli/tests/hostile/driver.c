/* A driver for Vulkan's loader that knows no device, and does what FAKE_DRIVER says at one of its entries: "ENTRY ACTION". */

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*Function)(void);

static void enter(const char *entry) {
    const char *mode = getenv("FAKE_DRIVER");
    size_t length = strlen(entry);
    if (!mode || strncmp(mode, entry, length) || mode[length] != ' ') return;
    const char *action = mode + length + 1;
    if (!strcmp(action, "segv")) *(volatile int *)0 = 1;
    if (!strcmp(action, "abort")) abort();
    if (!strcmp(action, "exit")) _exit(0);
    if (!strcmp(action, "slow")) usleep(300000);
    if (!strcmp(action, "wait")) usleep(6000000);
    if (!strcmp(action, "hang")) for (;;) pause();
}

__attribute__((constructor)) static void begin(void) { enter("constructor"); }
__attribute__((destructor)) static void end(void) { enter("destructor"); }

static int extensions(const char *layer, uint32_t *count, void *properties) {
    (void)layer, (void)properties;
    enter("extensions");
    *count = 0;
    return 0;
}

static int create(const void *info, const void *allocator, void **instance) {
    (void)info, (void)allocator;
    enter("create");
    uintptr_t *handle = calloc(8, sizeof *handle);
    handle[0] = 0x01CDC0DE; /* what the loader looks for in a handle */
    *instance = handle;
    return 0;
}

static void destroy(void *instance, const void *allocator) {
    (void)allocator;
    enter("destroy");
    free(instance);
}

static int devices(void *instance, uint32_t *count, void *list) {
    (void)instance, (void)list;
    enter("devices");
    *count = 0;
    return 0;
}

Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
    (void)instance;
    enter("address");
    if (!strcmp(name, "vkEnumerateInstanceExtensionProperties")) return (Function)extensions;
    if (!strcmp(name, "vkCreateInstance")) return (Function)create;
    if (!strcmp(name, "vkDestroyInstance")) return (Function)destroy;
    if (!strcmp(name, "vkEnumeratePhysicalDevices")) return (Function)devices;
    /* Anything else that the loader needs, and never calls without a device. */
    if (!strncmp(name, "vkGetPhysicalDevice", 19) || !strcmp(name, "vkCreateDevice") ||
        !strcmp(name, "vkEnumerateDeviceExtensionProperties") || !strcmp(name, "vkGetDeviceProcAddr"))
        return (Function)devices;
    return 0;
}

int vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
    enter("negotiate");
    if (*version > 5) *version = 5;
    return 0;
}
