//! Attributes that speak of the whole run: how frames are counted, paged, masked and played, and what
//! vouches for the bytes of the source. They are untrue or void on a single frame and are left out.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// What no single-frame instance keeps, whatever its class: pixel bytes and their offset tables, group
/// lengths, signatures over the source, its concatenation, its creation, and what is said about all its
/// pixels at once.
const NEVER: &[Tag] = &[
    // Creation of the source object (PS3.3 C.12.1); ours is created later, by somebody else.
    tags::INSTANCE_CREATION_DATE,
    tags::INSTANCE_CREATION_TIME,
    tags::INSTANCE_CREATOR_UID,
    tags::SOP_INSTANCE_STATUS,
    tags::SOP_AUTHORIZATION_DATE_TIME,
    tags::SOP_AUTHORIZATION_COMMENT,
    tags::AUTHORIZATION_EQUIPMENT_CERTIFICATION_NUMBER,
    // Concatenation (C.7.6.16): a piece of another object, which a frame of ours is not.
    tags::CONCATENATION_UID,
    tags::SOP_INSTANCE_UID_OF_CONCATENATION_SOURCE,
    tags::IN_CONCATENATION_NUMBER,
    tags::IN_CONCATENATION_TOTAL_NUMBER,
    tags::CONCATENATION_FRAME_OFFSET_NUMBER,
    // Extremes over all frames (C.7.6.3), and the picture of one of them (C.7.6.1).
    tags::SMALLEST_IMAGE_PIXEL_VALUE,
    tags::LARGEST_IMAGE_PIXEL_VALUE,
    tags::ICON_IMAGE_SEQUENCE,
    // Numbers of frames of interest, trims and playback (C.7.6.5, C.7.6.9).
    tags::START_TRIM,
    tags::STOP_TRIM,
    tags::PREFERRED_PLAYBACK_SEQUENCING,
    tags::REPRESENTATIVE_FRAME_NUMBER,
    tags::FRAME_NUMBERS_OF_INTEREST,
    tags::FRAME_OF_INTEREST_DESCRIPTION,
    tags::FRAME_OF_INTEREST_TYPE,
    tags::R_WAVE_POINTER,
    tags::EFFECTIVE_DURATION,
    // Masks are other frames of the source (C.7.6.10); without them SUB cannot be shown.
    Tag(0x0028, 0x6030), // Mask Pointers, retired
    tags::MASK_SUBTRACTION_SEQUENCE,
    tags::RECOMMENDED_VIEWING_MODE,
    // Digital signatures (PS3.15 C) are over bytes that are no longer there.
    tags::MAC_PARAMETERS_SEQUENCE,
    tags::DIGITAL_SIGNATURES_SEQUENCE,
    tags::DATA_SET_TRAILING_PADDING,
];

/// What a classic single-frame class does not keep: the Multi-frame, Functional Groups and Dimension
/// modules (C.7.6.6, C.7.6.16, C.7.6.17) and the sound track of a video (C.7.6.5).
const NOT_CLASSIC: &[Tag] = &[
    tags::NUMBER_OF_FRAMES,
    tags::FRAME_INCREMENT_POINTER,
    tags::FRAME_DIMENSION_POINTER,
    tags::FRAME_DELAY,
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::DIMENSION_ORGANIZATION_SEQUENCE,
    tags::DIMENSION_INDEX_SEQUENCE,
    tags::DIMENSION_ORGANIZATION_TYPE,
    tags::DIMENSION_INDEX_VALUES,
    tags::FRAME_PIXEL_SHIFT_SEQUENCE,
    tags::MULTIPLEXED_AUDIO_CHANNELS_DESCRIPTION_CODE_SEQUENCE,
];

/// Whether `tag` belongs to the run and not to a frame. `classic` says that the frame becomes a classic
/// single-frame image.
pub(super) fn belongs_to_run(tag: Tag, classic: bool) -> bool {
    tag.element() == 0
        || tag.group() < 0x0008
        || tag.group() == 0x7FE0
        || NEVER.contains(&tag)
        || (classic && NOT_CLASSIC.contains(&tag))
}

/// Whether `tag` says what the instance is or how its pixels are laid out: an attribute of the object that
/// no functional group can override (C.7.6.16.1).
pub(super) fn belongs_to_object(tag: Tag) -> bool {
    matches!(
        tag,
        tags::SPECIFIC_CHARACTER_SET
            | tags::SOP_CLASS_UID
            | tags::SOP_INSTANCE_UID
            | tags::STUDY_INSTANCE_UID
            | tags::SERIES_INSTANCE_UID
            | tags::INSTANCE_NUMBER
            | tags::SAMPLES_PER_PIXEL
            | tags::PHOTOMETRIC_INTERPRETATION
            | tags::PLANAR_CONFIGURATION
            | tags::ROWS
            | tags::COLUMNS
            | tags::BITS_ALLOCATED
            | tags::BITS_STORED
            | tags::HIGH_BIT
            | tags::PIXEL_REPRESENTATION
    )
}
