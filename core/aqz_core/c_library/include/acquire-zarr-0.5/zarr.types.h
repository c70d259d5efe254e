/* Types of acquire.zarr.h, as acquire-zarr 0.5 declares them.
 *
 * Programs fill these structures in, give them to ZarrStream_create, and may free them as soon as
 * it has returned: a stream copies its settings. All strings are UTF-8, end with a zero byte, and
 * belong to the program. NULL stands for "not given". Fill structures with zeros before use:
 *
 *     memset(&settings, 0, sizeof(settings));
 */
#ifndef AQZ_V0_5_ZARR_TYPES_H
#define AQZ_V0_5_ZARR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. Zarr_get_status_message says more, with a remedy. */
typedef enum
{
    ZarrStatusCode_Success = 0,
    ZarrStatusCode_InvalidArgument,   /* a NULL, a closed stream, an unknown key, no JSON */
    ZarrStatusCode_Overflow,          /* more frames than the array has room for */
    ZarrStatusCode_InvalidIndex,      /* an index is past the end */
    ZarrStatusCode_NotYetImplemented, /* never returned by this library */
    ZarrStatusCode_InternalError,     /* Python does not run, or a fault of the library */
    ZarrStatusCode_OutOfMemory,       /* the machine, or the stream's budget, is exhausted */
    ZarrStatusCode_IOError,           /* the disk or the object store failed; the stream ends */
    ZarrStatusCode_CompressionError,  /* a chunk could not be compressed */
    ZarrStatusCode_InvalidSettings,   /* settings contradict each other, a format, or the machine */
    ZarrStatusCode_WillNotOverwrite,  /* something is stored there, and overwrite is not set */
    ZarrStatusCodeCount
} ZarrStatusCode;

/* Format of the store. 0 stands for ZarrVersion_3. Zarr V2 is for readers that know nothing newer. */
typedef enum
{
    ZarrVersion_2 = 2,
    ZarrVersion_3 = 3,
    ZarrVersionCount
} ZarrVersion;

/* Least serious message that is logged. */
typedef enum
{
    ZarrLogLevel_Debug = 0,
    ZarrLogLevel_Info,
    ZarrLogLevel_Warning,
    ZarrLogLevel_Error,
    ZarrLogLevel_None,
    ZarrLogLevelCount
} ZarrLogLevel;

/* Type of a pixel, in the byte order of this machine. */
typedef enum
{
    ZarrDataType_uint8 = 0,
    ZarrDataType_uint16,
    ZarrDataType_uint32,
    ZarrDataType_uint64,
    ZarrDataType_int8,
    ZarrDataType_int16,
    ZarrDataType_int32,
    ZarrDataType_int64,
    ZarrDataType_float32,
    ZarrDataType_float64,
    ZarrDataTypeCount
} ZarrDataType;

/* Family of a codec; with None the other compression settings have no effect. */
typedef enum
{
    ZarrCompressor_None = 0,
    ZarrCompressor_Blosc1,
    ZarrCompressorCount
} ZarrCompressor;

/* Codec of a family: BloscLZ4 and BloscZstd of Blosc1. */
typedef enum
{
    ZarrCompressionCodec_None = 0,
    ZarrCompressionCodec_BloscLZ4,
    ZarrCompressionCodec_BloscZstd,
    ZarrCompressionCodecCount
} ZarrCompressionCodec;

/* What a dimension counts. */
typedef enum
{
    ZarrDimensionType_Space = 0,
    ZarrDimensionType_Channel,
    ZarrDimensionType_Time,
    ZarrDimensionType_Other,
    ZarrDimensionTypeCount
} ZarrDimensionType;

/* How 2 x 2 pixels, or 2 x 2 x 2, become one of the next pyramid level: the first of them, their
 * mean (towards zero in integers), the smallest or the largest. */
typedef enum
{
    ZarrDownsamplingMethod_Decimate = 0,
    ZarrDownsamplingMethod_Mean,
    ZarrDownsamplingMethod_Min,
    ZarrDownsamplingMethod_Max,
    ZarrDownsamplingMethodCount
} ZarrDownsamplingMethod;

/* An object store. Credentials come from the environment (AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY, or what else the AWS tools read), never from here. */
typedef struct
{
    const char* endpoint;    /* URL, such as "https://s3.us-east-1.amazonaws.com" */
    const char* bucket_name; /* it must exist */
    const char* region;      /* may be NULL */
} ZarrS3Settings;

/* How chunks are compressed. */
typedef struct
{
    ZarrCompressor compressor;
    ZarrCompressionCodec codec;
    uint8_t level;   /* 0 to 9; more is smaller and slower */
    uint8_t shuffle; /* before a codec of Blosc1: 0 none, 1 bytes, 2 bits */
} ZarrCompressionSettings;

/* One axis of an array, and how it is cut. */
typedef struct
{
    const char* name; /* unique in its array */
    ZarrDimensionType type;
    uint32_t array_size_px;     /* pixels; 0 means unlimited, on the first of three or more axes */
    uint32_t chunk_size_px;     /* pixels of a chunk, 1 or more */
    uint32_t shard_size_chunks; /* chunks of a shard, 1 or more; Zarr V2 has no shards */
    const char* unit;           /* such as "micrometer" or "second"; may be NULL */
    double scale;               /* size of a pixel, or time between frames, in units; 0 means 1 */
} ZarrDimensionProperties;

/* One array, or one image with its pyramid. */
typedef struct
{
    const char* output_key;                        /* path in the store; NULL or "" is the root: an image */
    ZarrCompressionSettings* compression_settings; /* NULL: chunks are stored as they are */
    ZarrDimensionProperties* dimensions;           /* slowest first; rows and columns last */
    size_t dimension_count;                        /* 3 to 8 */
    ZarrDataType data_type;
    bool multiscale; /* record a pyramid: the array becomes an OME-NGFF image */
    ZarrDownsamplingMethod downsampling_method;
} ZarrArraySettings;

/* A store, and what is recorded into it. */
typedef struct ZarrStreamSettings_s
{
    const char* store_path;      /* a directory, whose parent exists; a prefix in a bucket */
    ZarrS3Settings* s3_settings; /* NULL: a directory of this machine */
    ZarrVersion version;
    unsigned int max_threads; /* threads that compress; 0: as many as the machine runs at once */
    bool overwrite;           /* remove a recording that is there; nothing else is removed */
    ZarrArraySettings* arrays;
    size_t array_count;
} ZarrStreamSettings;

/* A recording at work. */
typedef struct ZarrStream_s ZarrStream;

#ifdef __cplusplus
}
#endif

#endif
