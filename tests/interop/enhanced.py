"""Describes an Enhanced X-Ray Angiographic image (PS3.3 A.47): what all frames have in common in the
Shared Functional Groups, angles, times and exposure of each frame in the Per-Frame ones."""

from __future__ import annotations

import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.12.1.1"
START = datetime.datetime(2026, 1, 2, 10, 12, 13)
FRAME_MS = 66.7


def primary_angle(frame: int) -> float:
    """Positioner Primary Angle of the frame, counted from 1."""
    return -30.0 + 0.5 * frame


def acquired(frame: int) -> str:
    """Frame Acquisition DateTime of the frame, counted from 1."""
    at = START + datetime.timedelta(milliseconds=FRAME_MS * (frame - 1))
    return at.strftime("%Y%m%d%H%M%S.%f")


def _item(**values: object) -> Sequence:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return Sequence([ds])


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _shared(rows: int, columns: int) -> Dataset:
    ds = Dataset()
    ds.FrameAnatomySequence = _item(
        FrameLaterality="U", AnatomicRegionSequence=_code("80891009", "SCT", "Heart")
    )
    ds.FrameVOILUTSequence = _item(WindowCenter="128", WindowWidth="256")
    ds.FramePixelDataPropertiesSequence = _item(
        FrameType=["ORIGINAL", "PRIMARY", "", "NONE"],
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=1,
        ImagerPixelSpacing=["0.2", "0.2"],
        GeometricalProperties="UNIFORM",
        ImageProcessingApplied="NONE",
    )
    ds.FieldOfViewSequence = _item(
        FieldOfViewShape="RECTANGLE",
        FieldOfViewDimensionsInFloat=[200.0, 200.0],
        FieldOfViewOrigin=["0", "0"],
        FieldOfViewRotation="0",
        FieldOfViewHorizontalFlip="NO",
    )
    ds.FrameDetectorParametersSequence = _item(DetectorActiveTime="8")
    ds.PatientOrientationInFrameSequence = _item(PatientOrientation=["L", "F"])
    ds.IrradiationEventIdentificationSequence = _item(IrradiationEventUID=generate_uid())
    ds.ProjectionPixelCalibrationSequence = _item(
        DistanceObjectToTableTop=50.0,
        BeamAngle=0.0,
        TableHeight="800",
        ObjectPixelSpacingInCenterOfBeam=[0.15, 0.15],
    )
    ds.TablePositionSequence = _item(
        TableTopVerticalPosition=0.0,
        TableTopLongitudinalPosition=0.0,
        TableTopLateralPosition=0.0,
        TableHorizontalRotationAngle=0.0,
        TableHeadTiltAngle=0.0,
        TableCradleTiltAngle=0.0,
    )
    ds.CollimatorShapeSequence = _item(
        CollimatorShape="RECTANGULAR",
        CollimatorLeftVerticalEdge="1",
        CollimatorRightVerticalEdge=str(columns),
        CollimatorUpperHorizontalEdge="1",
        CollimatorLowerHorizontalEdge=str(rows),
    )
    ds.XRayGeometrySequence = _item(DistanceSourceToIsocenter=700.0, DistanceSourceToDetector="1100")
    return ds


def _of_frame(frame: int) -> Dataset:
    ds = Dataset()
    ds.FrameContentSequence = _item(
        FrameAcquisitionNumber=frame,
        FrameReferenceDateTime=acquired(frame),
        FrameAcquisitionDateTime=acquired(frame),
        FrameAcquisitionDuration=8.0,
        DimensionIndexValues=[frame],
        TemporalPositionIndex=frame,
    )
    ds.FrameAcquisitionSequence = _item(KVP=str(80 + frame), XRayTubeCurrentInmA=400.0 + frame)
    ds.PositionerPositionSequence = _item(
        PositionerPrimaryAngle=str(primary_angle(frame)), PositionerSecondaryAngle="20"
    )
    return ds


def describe(ds: Dataset, recipe) -> str:
    """Fills in all but the pixels; returns the SOP Class UID."""
    for keyword in ("PatientOrientation", "Laterality", "AcquisitionDate", "AcquisitionTime"):
        delattr(ds, keyword)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "", "NONE"]
    ds.AcquisitionDateTime = acquired(1)
    ds.ContentQualification = "RESEARCH"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.PresentationLUTShape = "IDENTITY"
    ds.PlanesInAcquisition = "SINGLE PLANE"
    ds.AcquisitionProtocolName = "coronary"
    ds.KVP = "80"
    ds.RadiationSetting = "GR"
    ds.RadiationMode = "PULSED"
    ds.ExposureTimeInms = 8.0
    ds.XRayTubeCurrentInmA = 400.0
    ds.AveragePulseWidth = 8.0
    ds.AcquisitionDuration = FRAME_MS * recipe.frames
    ds.AcquiredImageAreaDoseProduct = 1.25
    ds.DistanceReceptorPlaneToDetectorHousing = 30.0
    ds.PhysicalDetectorSize = [200.0, 200.0]
    ds.PositionReferenceIndicator = ""
    ds.PlaneIdentification = "MONOPLANE"
    ds.PatientOrientationCodeSequence = _code("102538003", "SCT", "recumbent")
    ds.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = _code(
        "40199007", "SCT", "supine"
    )
    ds.PatientGantryRelationshipCodeSequence = _code("102540008", "SCT", "headfirst")
    ds.FocalSpots = "0.6"
    ds.XRayReceptorType = "DIGITAL_DETECTOR"
    ds.PositionerType = "CARM"
    ds.CArmPositionerTabletopRelationship = "YES"
    ds.DetectorType = "DIRECT"
    ds.AcquisitionContextSequence = Sequence([])
    ds.FrameOfReferenceUID = generate_uid()
    ds.SynchronizationFrameOfReferenceUID = generate_uid()
    ds.SynchronizationTrigger = "NO TRIGGER"
    ds.AcquisitionTimeSynchronized = "N"

    organisation = generate_uid()
    ds.DimensionOrganizationSequence = _item(DimensionOrganizationUID=organisation)
    ds.DimensionIndexSequence = _item(
        DimensionOrganizationUID=organisation,
        DimensionIndexPointer=0x00209128,  # Temporal Position Index
        FunctionalGroupPointer=0x00209111,  # Frame Content Sequence
    )
    ds.SharedFunctionalGroupsSequence = Sequence([_shared(recipe.rows, recipe.columns)])
    ds.PerFrameFunctionalGroupsSequence = Sequence([_of_frame(k + 1) for k in range(recipe.frames)])
    return SOP_CLASS


def mark_derived(ds: Dataset) -> None:
    """Follows an encoder that has set Image Type to DERIVED: what only an original may have goes,
    and the Frame Type says the same."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    del shared.ProjectionPixelCalibrationSequence[0].BeamAngle
    del shared.ProjectionPixelCalibrationSequence[0].TableHeight
    shared.FramePixelDataPropertiesSequence[0].FrameType = list(ds.ImageType)
