/* A 6-well plate of which two wells are recorded: plate [store] */
#include "example.h"

static void
set_well(ZarrHCSWell* well, const char* row, const char* column, ZarrArraySettings* image)
{
    image->data_type = ZarrDataType_uint16;
    image->multiscale = true;
    image->downsampling_method = ZarrDownsamplingMethod_Max;
    set_time_series(image, 64, 64, 32);
    well->row_name = row;
    well->column_name = column;
    check(ZarrHCSWell_create_image_array(well, 1));
    well->images[0].path = "fov1";
    well->images[0].acquisition_id = 0;
    well->images[0].has_acquisition_id = true;
    well->images[0].array_settings = image;
}

int
main(int argc, char** argv)
{
    ZarrArraySettings images[2];
    memset(images, 0, sizeof(images));
    ZarrHCSSettings hcs;
    memset(&hcs, 0, sizeof(hcs));
    check(ZarrHCSSettings_create_plate_array(&hcs, 1));
    ZarrHCSPlate* plate = &hcs.plates[0];
    plate->path = "experiment";
    plate->name = "Dose response";
    check(ZarrHCSPlate_create_row_name_array(plate, 2));
    plate->row_names[0] = "A";
    plate->row_names[1] = "B";
    check(ZarrHCSPlate_create_column_name_array(plate, 3));
    plate->column_names[0] = "1";
    plate->column_names[1] = "2";
    plate->column_names[2] = "3";
    check(ZarrHCSPlate_create_acquisition_array(plate, 1));
    plate->acquisitions[0].name = "before";
    plate->acquisitions[0].start_time = 1343731272000;
    plate->acquisitions[0].has_start_time = true;
    check(ZarrHCSPlate_create_well_array(plate, 2));
    set_well(&plate->wells[0], "A", "1", &images[0]);
    set_well(&plate->wells[1], "B", "3", &images[1]);

    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = argc > 1 ? argv[1] : "plate.zarr";
    settings.overwrite = true;
    settings.hcs_settings = &hcs;

    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrHCSSettings_destroy_plate_array(&hcs);
    if (stream == NULL) {
        return 1;
    }
    record(stream, "experiment/A/1/fov1", 3, 64, 64);
    record(stream, "experiment/B/3/fov1", 2, 64, 64);
    return finish(stream);
}
