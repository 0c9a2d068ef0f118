"""Dates in file names: real names one line each, names that only look like dates, and the laws that hold for all."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.takeout.names import split_extension
from pipeline.takeout.stamps import PATTERNS, Stamp, stamp_in

#: A real name -> the moment, with "Z" if it is UTC; its length gives the precision -> the pattern.
CASES: dict[str, tuple[str, str]] = {
    # cameras: the wall clock
    "IMG_20190730_140000.jpg": ("2019-07-30 14:00:00", "camera"),
    "VID_20220107_113306.mp4": ("2022-01-07 11:33:06", "camera"),
    "MVIMG_20190215_193501.MP4": ("2019-02-15 19:35:01", "camera"),
    "PANO_20200904_115441.vr.jpg": ("2020-09-04 11:54:41", "camera"),
    "P_20190730_140000.jpg": ("2019-07-30 14:00:00", "camera"),  # Asus
    "20190730_140000.jpg": ("2019-07-30 14:00:00", "camera"),  # Samsung
    "20231207_101605_031.jpg": ("2023-12-07 10:16:05", "camera"),  # Samsung, in a burst
    "20190730_140000123.jpg": ("2019-07-30 14:00:00", "camera"),
    "IMG20190730140000.jpg": ("2019-07-30 14:00:00", "camera"),  # Oppo, Realme
    "IMG20251201163853_01.jpg": ("2025-12-01 16:38:53", "camera"),
    "IMG_20190730_140000_123.jpg": ("2019-07-30 14:00:00", "camera"),  # Telegram, Instagram
    "IMG_20150607_190000123_HDR.jpg": ("2015-06-07 19:00:00", "camera"),  # Motorola
    "IMG_20190730_140000_BURST001_COVER.jpg": ("2019-07-30 14:00:00", "camera"),  # Huawei
    "IMG_20190221_112112042_BURST000_COVER_TOP.MP4": ("2019-02-21 11:21:12", "camera"),
    "IMG_1_BURST20160520195318.jpg": ("2016-05-20 19:53:18", "camera"),
    "00004XTR_00004_BURST20190216172030.jpg": ("2019-02-16 17:20:30", "camera"),
    "00055IMG_00055_BURST20190216172030_COVER.jpg": ("2019-02-16 17:20:30", "camera"),
    "00000IMG_00000_BURST20200904115433782_COVER.jpg": ("2020-09-04 11:54:33", "camera"),
    "00100dPORTRAIT_00100_BURST20190730140000123_COVER.jpg": ("2019-07-30 14:00:00", "camera"),
    "DSC_0001_BURST20230709220904977.JPG": ("2023-07-09 22:09:04", "camera"),  # Sony
    "DJI_20250710075648_0002_D.MP4": ("2025-07-10 07:56:48", "camera"),
    "WIN_20190730_14_00_00_Pro.jpg": ("2019-07-30 14:00:00", "camera"),
    "WP_20150314_13_48_25_Pro.jpg": ("2015-03-14 13:48:25", "camera"),
    "B612_20170728_110824.jpg": ("2017-07-28 11:08:24", "camera"),
    "MEITU_20250430_201213044.jpg": ("2025-04-30 20:12:13", "camera"),
    "lrm_export_204512345678_20190730_140000.jpg": ("2019-07-30 14:00:00", "camera"),  # Lightroom
    "IMG_20190730_140000-01.jpeg": ("2019-07-30 14:00:00", "camera"),  # Snapseed
    "IMG_20130816_145041-MOTION(1).gif": ("2013-08-16 14:50:41", "camera"),
    "IMG_20190730_140000-COLLAGE.jpg": ("2019-07-30 14:00:00", "camera"),
    "IMG_20190730_140000-bearbeitet(2).jpg": ("2019-07-30 14:00:00", "camera"),
    "Copy of IMG_20190730_140000~2.jpg": ("2019-07-30 14:00:00", "camera"),
    "20190730T140000.jpg": ("2019-07-30 14:00:00", "camera"),
    "20190730-140000-1.jpg": ("2019-07-30 14:00:00", "camera"),
    "2019-01-01 trip IMG_20190730_140000.jpg": ("2019-07-30 14:00:00", "camera"),
    "20191399_20190730_140000.jpg": ("2019-07-30 14:00:00", "camera"),
    "20190631_140000 20190730_140000.jpg": ("2019-07-30 14:00:00", "camera"),
    # names in UTC
    "PXL_20201231_235959123.jpg": ("2020-12-31 23:59:59Z", "pixel"),
    "PXL_20230526_200122948.jpg": ("2023-05-26 20:01:22Z", "pixel"),  # taken at 22:01:22+02:00
    "PXL_20231207_032108788.RAW-01.MP.COVER.jpg": ("2023-12-07 03:21:08Z", "pixel"),
    "PXL_20211221_054835324~3.jpg": ("2021-12-21 05:48:35Z", "pixel"),
    "PXL_20230816_132648337.NIGHT-edited(1).jpg": ("2023-08-16 13:26:48Z", "pixel"),
    "20230721_101826611_iOS.heic": ("2023-07-21 10:18:26Z", "onedrive"),
    "20240902_141239000_iOS 2.jpg": ("2024-09-02 14:12:39Z", "onedrive"),
    "20190730T140000Z.jpg": ("2019-07-30 14:00:00Z", "iso"),
    "20250531T174503000000Z-DSCF7309.jpg": ("2025-05-31 17:45:03Z", "iso"),
    "2019-07-30T14_00_00.123Z.mp4": ("2019-07-30 14:00:00Z", "iso"),
    # chats
    "IMG-20190730-WA0001.jpg": ("2019-07-30", "whatsapp"),
    "IMG-20190330-WA0002(1).jpg": ("2019-03-30", "whatsapp"),
    "VID-20171218-WA0028.mp4": ("2017-12-18", "whatsapp"),
    "WhatsApp Image 2019-07-30 at 14.00.00.jpeg": ("2019-07-30 14:00:00", "whatsapp"),
    "WhatsApp Image 2019-07-30 at 2.00.00 PM.jpeg": ("2019-07-30 14:00:00", "whatsapp"),
    "WhatsApp Image 2025-10-10 at 12.48.12 AM (1).jpeg": ("2025-10-10 00:48:12", "whatsapp"),
    "WhatsApp Image 2024-10-27 at 19.00.11_c64fc046.jpg": ("2024-10-27 19:00:11", "whatsapp"),
    "WhatsApp Image 2025-07-12 à 16.06.43_fee671c9.jpg": ("2025-07-12 16:06:43", "whatsapp"),
    "WhatsApp Video 2019-07-30 um 14.00.00.mp4": ("2019-07-30 14:00:00", "whatsapp"),
    "signal-2020-10-26-163832.jpg": ("2020-10-26 16:38:32", "signal"),
    "signal-2022-12-17-15-16-04-718-2.jpg": ("2022-12-17 15:16:04", "signal"),
    "signal-attachment-2019-12-28-010316_001.mp4": ("2019-12-28 01:03:16", "signal"),
    "photo_2019-07-30_14-00-00.jpg": ("2019-07-30 14:00:00", "telegram"),
    "photo_2021-01-14 02.52.26.jpeg": ("2021-01-14 02:52:26", "telegram"),
    "video_2019-07-30_14-00-00.mp4": ("2019-07-30 14:00:00", "telegram"),
    "viber_image_2026-07-14_16-06-18-933.png": ("2026-07-14 16:06:18", "viber"),
    "viber_image_2019-11-12_15-42-26.jpg": ("2019-11-12 15:42:26", "viber"),
    "KakaoTalk_20190730_140000123.jpg": ("2019-07-30 14:00:00", "kakaotalk"),
    "KakaoTalk_Photo_2021-01-03-3-00-20_pm.jpeg": ("2021-01-03 15:00:20", "kakaotalk"),
    # screens
    "Screenshot_20190730-140000_App.jpg": ("2019-07-30 14:00:00", "screenshot"),
    "Screenshot_20190919-053857_Camera-edited.jpg": ("2019-09-19 05:38:57", "screenshot"),
    "Screenshot_20240720_020223_Jerboa.png": ("2024-07-20 02:02:23", "screenshot"),
    "Screenshot_2019-07-30-14-00-00-123_com.app.jpg": ("2019-07-30 14:00:00", "screenshot"),
    "Screenrecorder-2022-10-12-14-49-17-88.mp4": ("2022-10-12 14:49:17", "screenshot"),
    "Screen_Recording_20190730-140000_App.mp4": ("2019-07-30 14:00:00", "screenshot"),
    "Screenshot 2024-09-30 162059.png": ("2024-09-30 16:20:59", "screenshot"),  # Windows 11
    "Screenshot from 2023-07-06 21-27-33.png": ("2023-07-06 21:27:33", "screenshot"),  # GNOME
    "Screen Shot 2019-07-30 at 2.00.00 PM.png": ("2019-07-30 14:00:00", "screenshot"),
    "Screenshot 2019-07-30 at 2.00.00\u202fPM.png": ("2019-07-30 14:00:00", "screenshot"),  # since macOS 13
    "Screenshot 2019-07-30 at 14.00.00.png": ("2019-07-30 14:00:00", "screenshot"),
    "Screenshot 2019_05_21 at 10.45.52.png": ("2019-05-21 10:45:52", "screenshot"),
    "Bildschirmfoto 2019-07-30 um 14.00.00.png": ("2019-07-30 14:00:00", "screenshot"),
    "Bildschirmfoto 2015-06-16 um 12.11.56 nachm..png": ("2015-06-16 12:11:56", "screenshot"),
    "Capture d’écran 2019-07-30 à 14.00.00.png": ("2019-07-30 14:00:00", "screenshot"),
    "Schermafbeelding 2019-07-30 om 14.00.00.png": ("2019-07-30 14:00:00", "screenshot"),
    "Schermata 2019-07-30 alle 14.00.00.png": ("2019-07-30 14:00:00", "screenshot"),
    "Captura de pantalla 2019-07-30 a las 2.00.00 p. m..png": ("2019-07-30 14:00:00", "screenshot"),
    "Captura de Tela 2019-07-30 às 14.00.00.png": ("2019-07-30 14:00:00", "screenshot"),
    "Снимок экрана 2025-07-18 в 10.40.08.png": ("2025-07-18 10:40:08", "screenshot"),
    "截屏2021-06-15 下午9.59.27.png": ("2021-06-15 21:59:27", "iso"),
    "截屏2024-04-03 上午11.45.58.png": ("2024-04-03 11:45:58", "iso"),
    "스크린샷 2023-12-29 오후 7.33.35.png": ("2023-12-29 19:33:35", "screenshot"),
    "스크린샷 2025-05-21 오전 9.40.07.png": ("2025-05-21 09:40:07", "screenshot"),
    "スクリーンショット 2014-01-30 午後0.23.33.png": ("2014-01-30 12:23:33", "iso"),
    "vlcsnap-2023-06-05-18h05m49s015.png": ("2023-06-05 18:05:49", "screenshot"),
    "2017030310512300-F1C11A22FAEE3B82F21B330E1B786A39.jpg": ("2017-03-03 10:51:23", "screenshot"),
    # dates with dashes
    "スクリーンショット 2020-03-21 8.50.12.png": ("2020-03-21 08:50:12", "iso"),
    "Capture d’écran 2023-07-30 201341.png": ("2023-07-30 20:13:41", "iso"),
    "截屏2021-10-21 22.16.18.png": ("2021-10-21 22:16:18", "iso"),
    "2019-07-30 14.00.00.jpg": ("2019-07-30 14:00:00", "iso"),  # Dropbox
    "2014-08-25_17.15.33.jpg": ("2014-08-25 17:15:33", "iso"),
    "C360_2015-07-25-07-40-28-323_org.jpg": ("2015-07-25 07:40:28", "iso"),
    "C360_2011-11-10 17-28-53.jpg": ("2011-11-10 17:28:53", "iso"),
    "2016_01_30_11_49_15.mp4": ("2016-01-30 11:49:15", "iso"),
    "telegram_2020_01_30_09_57_18.jpg": ("2020-01-30 09:57:18", "iso"),
    "PHOTO-2026-07-02-15-15-31-1.jpg": ("2026-07-02 15:15:31", "iso"),
    "Photo 2019-07-30 14 00 00.jpg": ("2019-07-30 14:00:00", "iso"),
    "2019-07-30T14_00_00.jpg": ("2019-07-30 14:00:00", "iso"),
    "2019-07-30T14-00-00+02-00.jpg": ("2019-07-30 14:00:00", "iso"),
    "2018-04-12 19:24:49.gif": ("2018-04-12 19:24:49", "iso"),
    "2019.07.30 14.00.00.jpg": ("2019-07-30 14:00:00", "iso"),
    "IMG_2024.08.31_195517.jpg": ("2024-08-31 19:55:17", "iso"),
    "2022-12-29 09.33.jpg": ("2022-12-29 09:33", "iso"),
    "2019-07-30T14-00.jpg": ("2019-07-30 14:00", "iso"),
    "20190730T1400.jpg": ("2019-07-30 14:00", "iso"),
    "Scanned_20250814-0439.jpg": ("2025-08-14 04:39", "scan"),
    # days
    "2019-07-30 something.jpg": ("2019-07-30", "day"),
    "Snapchat_2019-08-12_0516c0a9-5402-f3d7-ae27-19671102f52c-main.jpg": ("2019-08-12", "day"),
    "2017-06-06_09acf48a-ea95-4ba0-88b2-95b8e6d14ee7-main.jpg": ("2017-06-06", "day"),
    "telegram_2020-01-30_09-18.jpg": ("2020-01-30", "day"),
    "Screenshot 2019-05-21 at 10545.52.png": ("2019-05-21", "day"),
    "2019-07-30 - 01.08.19.jpg": ("2019-07-30", "day"),
    "2019-07-30_IMG_123456.jpg": ("2019-07-30", "day"),
    "2020-02-29.jpg": ("2020-02-29", "day"),
    "20190730 something.jpg": ("2019-07-30", "day"),
    "20190730-1.jpg": ("2019-07-30", "day"),
    "20190730(3).jpg": ("2019-07-30", "day"),
    "IMG_20190730.jpg": ("2019-07-30", "day"),
    "IMG20231202.jpg": ("2023-12-02", "day"),
    "WP_20130405_001.jpg": ("2013-04-05", "day"),
    "20190730_250000.jpg": ("2019-07-30", "day"),  # no such hour, so it is a number
    "20161231_235960.jpg": ("2016-12-31", "day"),  # a leap second
    # Unix time
    "1564488000000.jpg": ("2019-07-30 12:00:00Z", "unix_ms"),
    "1564488000000(1).jpg": ("2019-07-30 12:00:00Z", "unix_ms"),
    "1564488000000": ("2019-07-30 12:00:00Z", "unix_ms"),
    "IMG_1564488000999.jpg": ("2019-07-30 12:00:00Z", "unix_ms"),
    "IMG_1558292380001_12345.jpg": ("2019-05-19 18:59:40Z", "unix_ms"),
    "FB_IMG_1564488000000.jpg": ("2019-07-30 12:00:00Z", "unix_ms"),
    "mmexport1564488000000.jpg": ("2019-07-30 12:00:00Z", "unix_ms"),
    "wx_camera_1564488000000.mp4": ("2019-07-30 12:00:00Z", "unix_ms"),
    "FaceApp_1688199475730_1.jpg": ("2023-07-01 08:17:55Z", "unix_ms"),
}

NO_DATES = (
    "",
    ".jpg",
    "IMG_0001.JPG",
    "IMG_E1234.HEIC",
    "DSC01234.JPG",
    "DSC_0001.JPG",
    "GOPR0001.MP4",
    "GX010001.MP4",
    "IMG_12345678.jpg",
    "6681940835455414.jpg",
    "1080x1920.jpg",
    "2019.jpg",
    "2019-07.jpg",
    "VID-WA0028.mp4",
    "+491512019073.jpg",
    "4915120190730.jpg",
    "received_10211234567890123.jpeg",
    "received_20190730140000123.jpeg",
    "Snapchat-20190730.jpg",
    "Snapchat-2039348225.jpg",
    "telegram-cloud-photo-size-2-5190785500309485773-m.jpg",
    "12240128_979420785433022_8526815323935945818_n.jpg",
    "20131231_123456789012345_1234567890_n.jpg",
    "9e8449ee-9f27-440f-949b-98f69a200921.jpg",
    "0516c0a9-5402-f3d7-ae27-20190730f52c.jpg",
    "C720DC3D-B8BA-4A41-8D6C-201907301A2B.jpg",
    "4006381333931.jpg",  # a bar code
    "1564488000000x2.jpg",
    "1581270440551-d356c6b2-6178-49af-bcdf-b308a5b4b.jpg",  # a web site's
    "photo 1564488000000.jpg",
    "15644880000000.jpg",
    "FB_IMG_4999999999999.jpg",  # 2128
    "DSC_20190730140000999999.jpg",
    "201801261147521000.jpg",
    "20190730250000.jpg",  # a run of 14 digits is a time or nothing
    "120190730_140000.jpg",
    "1120190730.jpg",
    # orders that may be American or not
    "30-07-2019.jpg",
    "07-30-2019.jpg",
    "30.07.2019_12_05.jpg",
    "5.7.2019_12_05.jpg",
    "30072019.jpg",
    "22-04-06 15-21-03 2160.jpg",  # Nextcloud: no century
    "CamScanner 08-06-2026 15.41.jpg",
    "PicsArt_10-08-09.25.32.jpg",  # no year
    "160728-131554.jpg",
    "LINE_ALBUM_M3-Sedan_221025_2.jpg",
    # what no calendar has
    "20191301_140000.jpg",
    "20190631_140000.jpg",
    "20190229.jpg",
    "2019-02-29 14.00.00.jpg",
    "IMG-20190631-WA0001.jpg",
    "PXL_20190631_140000123.jpg",
    "2019-00-10.jpg",
    "2019-13-10.jpg",
    "19891231_235959.jpg",
    "21000101_000000.jpg",
    "1020-01-30_09-57-18.jpg",
    # no ASCII digits
    "٢٠١٩-٠٧-٣٠.jpg",
    "２０１９０７３０_１４００００.jpg",
)


def expected(moment: str, pattern: str) -> Stamp:
    precision = {10: "day", 16: "minute"}.get(len(moment), "second")
    value = datetime.fromisoformat(moment)
    return Stamp(None, value, precision, pattern) if value.tzinfo else Stamp(value, None, precision, pattern)


@pytest.mark.parametrize("name", CASES)
def test_a_name_states_its_moment(name: str) -> None:
    assert stamp_in(name) == expected(*CASES[name])


@pytest.mark.parametrize("name", NO_DATES)
def test_a_number_is_no_date(name: str) -> None:
    assert stamp_in(name) is None


def test_every_pattern_has_a_case() -> None:
    assert {pattern.name for pattern in PATTERNS} == {pattern for _, pattern in CASES.values()}
    used = set()
    for name in CASES:
        stamp = stamp_in(name)
        assert stamp is not None
        lines = [p for p in PATTERNS if (p.name, p.precision) == (stamp.pattern, stamp.precision) and p.word in name]
        used |= {PATTERNS.index(p) for p in lines if p.shape.search(name)}
    assert used == set(range(len(PATTERNS)))


@pytest.mark.parametrize("name", [name for name in CASES if "(" not in name and name != "1564488000000"])
def test_a_counter_and_the_suffixes_of_google_photos_change_nothing(name: str) -> None:
    stem, extension = split_extension(name)
    for suffix in ("(1)", "(20190)", "-edited", "-bearbeitet", "-COLLAGE", "-ANIMATION(2)"):
        assert stamp_in(f"{stem}{suffix}{extension}") == stamp_in(name)


def unix_ms(moment: datetime) -> str:
    return str(int(moment.replace(tzinfo=UTC).timestamp()) * 1000 + 123)


#: How programs write a moment -> the writer, the pattern, and whether it is UTC.
FORMATS: dict[str, tuple[Callable[[datetime], str], str, bool]] = {
    form: ((lambda moment, form=form: moment.strftime(form)), pattern, utc)  # type: ignore[misc]
    for form, pattern, utc in (
        ("IMG_%Y%m%d_%H%M%S.jpg", "camera", False),
        ("%Y%m%d_%H%M%S.jpg", "camera", False),
        ("IMG%Y%m%d%H%M%S.jpg", "camera", False),
        ("00100dPORTRAIT_00100_BURST%Y%m%d%H%M%S123_COVER.jpg", "camera", False),
        ("WIN_%Y%m%d_%H_%M_%S_Pro.jpg", "camera", False),
        ("PXL_%Y%m%d_%H%M%S123.jpg", "pixel", True),
        ("%Y%m%d_%H%M%S123_iOS.heic", "onedrive", True),
        ("%Y%m%dT%H%M%SZ.jpg", "iso", True),
        ("%Y-%m-%dT%H-%M-%S.jpg", "iso", False),
        ("%Y-%m-%d %H.%M.%S.jpg", "iso", False),
        ("%Y_%m_%d_%H_%M_%S.mp4", "iso", False),
        ("signal-%Y-%m-%d-%H%M%S.jpg", "signal", False),
        ("photo_%Y-%m-%d_%H-%M-%S.jpg", "telegram", False),
        ("viber_image_%Y-%m-%d_%H-%M-%S-123.jpg", "viber", False),
        ("Screenshot_%Y-%m-%d-%H-%M-%S-123_com.app.jpg", "screenshot", False),
        ("Screen Shot %Y-%m-%d at %I.%M.%S %p.png", "screenshot", False),
        ("WhatsApp Image %Y-%m-%d at %H.%M.%S.jpeg", "whatsapp", False),
        ("Bildschirmfoto %Y-%m-%d um %H.%M.%S.png", "screenshot", False),
        ("vlcsnap-%Y-%m-%d-%Hh%Mm%Ss015.png", "screenshot", False),
    )
}
seconds = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31, 23, 59, 59)).map(lambda d: d.replace(microsecond=0))


@pytest.mark.parametrize("form", FORMATS)
@given(seconds)
@example(datetime(2020, 2, 29, 0, 0))
@example(datetime(2099, 12, 31, 12, 59, 59))
def test_what_a_program_writes_is_read_again(form: str, moment: datetime) -> None:
    write, pattern, utc = FORMATS[form]
    local, at = (None, moment.replace(tzinfo=UTC)) if utc else (moment, None)
    assert stamp_in(write(moment)) == Stamp(local, at, "second", pattern)


@given(seconds, st.sampled_from(["%Y%m%d_001.jpg", "%Y-%m-%d Berlin.jpg", "IMG-%Y%m%d-WA0001.jpg", "%Y%m%d.jpg"]))
def test_a_day_is_midnight(moment: datetime, form: str) -> None:
    stamp = stamp_in(moment.strftime(form))
    assert stamp is not None
    assert (stamp.local, stamp.at, stamp.precision) == (datetime(*moment.timetuple()[:3]), None, "day")


@given(st.datetimes(datetime(2001, 9, 10), datetime(2099, 12, 31)).map(lambda d: d.replace(microsecond=0)))
def test_unix_time_is_read_again(moment: datetime) -> None:
    for form in ("FB_IMG_{}.jpg", "mmexport{}.jpg", "IMG_{}.jpg"):
        stamp = stamp_in(form.format(unix_ms(moment)))
        assert stamp == Stamp(None, moment.replace(tzinfo=UTC), "second", "unix_ms")
    assert (stamp_in(f"{unix_ms(moment)}.jpg") is not None) == (moment < datetime(2033, 5, 18, 3, 33, 20))


@pytest.mark.parametrize("form", FORMATS)
@given(seconds, st.sampled_from("0123456789"))
def test_a_digit_more_before_a_year_makes_it_another_number(form: str, moment: datetime, digit: str) -> None:
    assert stamp_in(moment.strftime(form.replace("%Y", digit + "%Y"))) is None


names = st.one_of(
    st.text(st.characters()),  # with lone surrogates
    st.text(st.sampled_from("0123456789-_. :TZ()aImMG"), max_size=60),
    st.lists(
        st.sampled_from(
            ["2019", "20", "07", "30", "31", "06", "14", "00", "60", "-", "_", ".", " ", "PM", "Z", "um", "WA"]
        )
    ).map("".join),
)


@given(names)
@example("\udcff20190730_140000\udcff.jpg")
@example("20190631_140000 " * 700)
@example("2019-06-31 " + "a" * 10_000 + " 1.00.00 PM")
@example("1" * 10_000)
@example("2019-07-30 " * 1000)
def test_any_text_gives_a_plausible_moment_or_none(name: str) -> None:
    stamp = stamp_in(name)
    if stamp is None:
        return
    assert (stamp.local is None) != (stamp.at is None)
    if stamp.local is not None:
        assert stamp.local.tzinfo is None
        assert 1990 <= stamp.local.year <= 2099
    if stamp.at is not None:
        assert stamp.at.utcoffset() == timedelta(0)
        assert 1990 <= stamp.at.year <= 2099


def test_no_shape_repeats_without_a_bound() -> None:
    """A shape then takes a bounded time at each place of a name, so all of it is linear in the name's length."""
    for pattern in PATTERNS:
        text = re.sub(r"\[[^]]*\]", "x", pattern.shape.pattern)  # what stands in brackets is literal
        assert not re.search(r"(?<!\\)[*+]|\{\d+,\}", text)
