/* A driver for Vulkan's loader that hands everything on to another one, the library CARD_DRIVER, and says that its devices are
 * cards. What CARD_MODE says happens to the first submission after a buffer of more than CARD_LARGE bytes has been made, and
 * to all that follow: "block" keeps whoever submits, "silent" does nothing, and keeps whoever waits for all to be done. "small"
 * has no memory for such a buffer. */

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*Function)(void);
typedef Function (*Lookup)(void *, const char *);

/* Beginnings of Vulkan's own structures. */
struct Properties {
    uint32_t api, driver, vendor, device, type;
    char name[256];
};
struct Properties2 {
    uint32_t type;
    void *next;
    struct Properties properties;
};
struct BufferInfo {
    uint32_t type;
    const void *next;
    uint32_t flags;
    uint64_t size;
};
enum { CARD = 2, OUT_OF_DEVICE_MEMORY = -2 };

static Lookup instance_lookup, device_lookup;
static void (*get_properties)(void *, struct Properties *);
static void (*get_properties2)(void *, struct Properties2 *);
static int (*create_buffer)(void *, const struct BufferInfo *, const void *, void *);
static int (*submit)(void *, uint32_t, const void *, void *);
static int (*wait_queue)(void *);
static int (*wait_device)(void *);
static void (*destroy_device)(void *, const void *);
static volatile int armed;

static int mode(const char *wanted) {
    const char *set = getenv("CARD_MODE");
    return set && !strcmp(set, wanted);
}

static void keep(void) {
    for (;;) pause();
}

static void disguise(struct Properties *properties) {
    properties->type = CARD;
    strcpy(properties->name, "Cardboard 9000");
}

static void my_get_properties(void *device, struct Properties *properties) {
    get_properties(device, properties);
    disguise(properties);
}

static void my_get_properties2(void *device, struct Properties2 *properties) {
    get_properties2(device, properties);
    disguise(&properties->properties);
}

static int my_create_buffer(void *device, const struct BufferInfo *info, const void *allocator, void *buffer) {
    const char *large = getenv("CARD_LARGE");
    if (large && info->size > strtoull(large, NULL, 10)) {
        if (mode("small")) return OUT_OF_DEVICE_MEMORY;
        armed = 1;
    }
    return create_buffer(device, info, allocator, buffer);
}

static int my_submit(void *queue, uint32_t count, const void *work, void *fence) {
    if (armed && mode("block")) keep();
    if (armed && mode("silent")) return 0;
    return submit(queue, count, work, fence);
}

static int my_wait_queue(void *queue) {
    if (armed && mode("silent")) keep();
    return wait_queue(queue);
}

static int my_wait_device(void *device) {
    if (armed && mode("silent")) keep();
    return wait_device(device);
}

static void my_destroy_device(void *device, const void *allocator) {
    if (armed && (mode("silent") || mode("block"))) keep();
    destroy_device(device, allocator);
}

static Function my_device_lookup(void *device, const char *name);

/* The function of this name: the other driver's, or what stands before it. */
static Function replaced(const char *name, Function real) {
    static const struct {
        const char *name;
        void *real;
        Function mine;
    } all[] = {
        {"vkGetDeviceProcAddr", &device_lookup, (Function)my_device_lookup},
        {"vkGetPhysicalDeviceProperties", &get_properties, (Function)my_get_properties},
        {"vkGetPhysicalDeviceProperties2", &get_properties2, (Function)my_get_properties2},
        {"vkGetPhysicalDeviceProperties2KHR", &get_properties2, (Function)my_get_properties2},
        {"vkCreateBuffer", &create_buffer, (Function)my_create_buffer},
        {"vkQueueSubmit", &submit, (Function)my_submit},
        {"vkQueueWaitIdle", &wait_queue, (Function)my_wait_queue},
        {"vkDeviceWaitIdle", &wait_device, (Function)my_wait_device},
        {"vkDestroyDevice", &destroy_device, (Function)my_destroy_device},
    };
    for (size_t i = 0; real && i < sizeof all / sizeof *all; i++) {
        if (!strcmp(name, all[i].name)) {
            memcpy(all[i].real, &real, sizeof real);
            return all[i].mine;
        }
    }
    return real;
}

static Function my_device_lookup(void *device, const char *name) {
    return replaced(name, device_lookup(device, name));
}

static Function exported(const char *name) {
    static void *library;
    Function function;
    if (!library) library = dlopen(getenv("CARD_DRIVER"), RTLD_NOW | RTLD_LOCAL);
    if (!library) abort();
    void *symbol = dlsym(library, name);
    memcpy(&function, &symbol, sizeof symbol);
    return function;
}

Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
    if (!instance_lookup) instance_lookup = (Lookup)exported("vk_icdGetInstanceProcAddr");
    return replaced(name, instance_lookup(instance, name));
}

int vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
    if (*version > 5) *version = 5;
    return ((int (*)(uint32_t *))exported("vk_icdNegotiateLoaderICDInterfaceVersion"))(version);
}
