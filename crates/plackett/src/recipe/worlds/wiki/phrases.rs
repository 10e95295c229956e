//! Words of the made encyclopaedia.

/// Beginnings and ends of first names.
pub const FIRST: [&[&str]; 2] = [
    &["Ta", "Or", "Mi", "Be", "Ku", "Sel", "Ni", "Dra", "Fe", "Jo", "Va", "Lu"],
    &["rek", "lin", "ra", "thos", "mir", "na", "vik", "dan", "sa", "bor", "wen", "gus"],
];
/// Beginnings and ends of family names.
pub const FAMILY: [&[&str]; 2] = [
    &["Mar", "Ost", "Quin", "Hal", "Der", "Zor", "Pel", "Ing", "Tik", "Bram", "Ul", "Yar"],
    &["ford", "ack", "eby", "gren", "holt", "ick", "lund", "mond", "nash", "olm", "pike", "quist"],
];
/// Beginnings and ends of towns.
pub const TOWN: [&[&str]; 2] = [
    &["Ald", "Brin", "Cald", "Dun", "Est", "Falk", "Garn", "Holl", "Iver", "Jarr"],
    &["moor", "wick", "mere", "by", "stead", "vale"],
];
/// What subjects, nicknames and books are like.
pub const QUALITIES: [&str; 20] = [
    "silent", "broken", "golden", "hidden", "crooked", "frozen", "burning", "hollow", "distant", "velvet",
    "lonely", "bitter", "gentle", "ancient", "restless", "scarlet", "narrow", "patient", "drowned", "paper",
];
/// What subjects are about.
pub const SUBJECTS: [&str; 20] = [
    "glaciers",
    "comets",
    "alphabets",
    "bridges",
    "beetles",
    "tides",
    "mirrors",
    "fossils",
    "engines",
    "orchids",
    "sleep",
    "volcanoes",
    "coins",
    "echoes",
    "bees",
    "maps",
    "crystals",
    "songs",
    "rivers",
    "clocks",
];
/// What nicknames are.
pub const ANIMALS: [&str; 20] = [
    "heron", "badger", "falcon", "otter", "raven", "lynx", "tortoise", "wolf", "magpie", "stag", "viper",
    "hare", "crane", "salmon", "bear", "moth", "weasel", "swan", "pike", "jackal",
];
/// What books are called after.
pub const THINGS: [&str; 12] = [
    "Harbour",
    "Lantern",
    "Orchard",
    "Compass",
    "Staircase",
    "Window",
    "Garden",
    "Letter",
    "Ferry",
    "Tower",
    "Anchor",
    "Island",
];
/// What people do.
pub const JOBS: [&str; 12] = [
    "surgeon", "pilot", "judge", "weaver", "sailor", "lawyer", "potter", "dentist", "farmer", "painter",
    "botanist", "miner",
];
/// What people like.
pub const HOBBIES: [&str; 12] = [
    "chess",
    "fencing",
    "gardening",
    "rowing",
    "baking",
    "archery",
    "juggling",
    "knitting",
    "climbing",
    "skating",
    "fishing",
    "dancing",
];
/// What towns make.
pub const GOODS: [&str; 12] = [
    "glass", "salt", "ropes", "candles", "paper", "cheese", "bells", "carpets", "boats", "nails", "wine",
    "bricks",
];
/// Rivers, one for each town.
pub const RIVER: [&[&str]; 2] = [
    &["Sil", "Mor", "Tam", "Wen", "Lor", "Kes", "Ban", "Dev", "Ris", "Tor"],
    &["ava", "ene", "ush", "ola", "idra", "orn"],
];
