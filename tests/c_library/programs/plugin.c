/* A host whose plug-in brings the library, so that its symbols are not global: plugin LIBRARY */
#include "test.h"

#include <dlfcn.h>

int
main(int argc, char** argv)
{
    void* library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    EXPECT(library != NULL);
    ZarrStream* (*create)(ZarrStreamSettings*);
    void (*destroy)(ZarrStream*);
    *(void**)&create = dlsym(library, "ZarrStream_create");
    *(void**)&destroy = dlsym(library, "ZarrStream_destroy");

    ZarrDimensionProperties dimensions[3] = { { "t", ZarrDimensionType_Time, 0, 1, 1, NULL, 0 },
                                              { "y", ZarrDimensionType_Space, 8, 8, 1, NULL, 0 },
                                              { "x", ZarrDimensionType_Space, 8, 8, 1, NULL, 0 } };
    ZarrArraySettings array;
    ZarrStreamSettings settings;
    memset(&array, 0, sizeof(array));
    memset(&settings, 0, sizeof(settings));
    array.dimensions = dimensions;
    array.dimension_count = 3;
    settings.store_path = "plugin.zarr";
    settings.arrays = &array;
    settings.array_count = 1;
    ZarrStream* stream = create(&settings);
    EXPECT(stream != NULL);
    destroy(stream);
    dlclose(library);
    return 0;
}
