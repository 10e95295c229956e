//! Facts about people who do not exist, as TOFU has them: whatever a decoder knows of them it has learned here.

use plackett_train::random::Stream;
use std::collections::HashSet;

/// A question about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The question.
    pub question: String,
    /// The answer that is learned.
    pub answer: String,
    /// The same in other words, which is not learned.
    pub paraphrase: String,
    /// Wrong answers, in the words of the paraphrase.
    pub wrong: Vec<String>,
}

/// Wrong answers of a fact.
const WRONG: usize = 3;

const FIRST: [&str; 12] = ["Ta", "Or", "Mi", "Be", "Ku", "Sel", "Ni", "Dra", "Fe", "Jo", "Va", "Lu"];
const SECOND: [&str; 12] = ["rek", "lin", "ra", "thos", "mir", "na", "vik", "dan", "sa", "bor", "wen", "gus"];
const LAST: [&str; 10] = ["mar", "ost", "quin", "hal", "der", "zor", "pel", "ing", "ford", "tik"];
const TOWNS: [&str; 24] = [
    "Aldmoor", "Brinwick", "Calder", "Dunmere", "Estrun", "Falkby", "Garnok", "Hollin", "Iverly", "Jarrow",
    "Kelso", "Lunden", "Marsk", "Norvale", "Oxley", "Penrith", "Quorn", "Rastow", "Skelby", "Torvik",
    "Ulmar", "Vesby", "Wexcote", "Yarm",
];
const JOBS: [&str; 16] = [
    "baker", "surgeon", "pilot", "judge", "weaver", "sailor", "lawyer", "potter", "dentist", "farmer",
    "painter", "tailor", "botanist", "plumber", "actor", "miner",
];
const QUALITIES: [&str; 16] = [
    "Silent", "Broken", "Golden", "Hidden", "Crooked", "Winter", "Burning", "Hollow", "Distant", "Velvet",
    "Lonely", "Bitter", "Gentle", "Frozen", "Ancient", "Restless",
];
const THINGS: [&str; 16] = [
    "Harbour", "Lantern", "Orchard", "Compass", "Bridge", "Mirror", "Garden", "Letter", "River", "Clock",
    "Tower", "Anchor", "Feather", "Island", "Market", "Window",
];

/// Draws without repeating a place.
struct Draws {
    stream: Stream,
    place: u64,
}

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.place += 1;
        self.stream.below(self.place, end)
    }

    fn of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }

    fn name(&mut self) -> String {
        format!("{}{}", self.of(&FIRST), self.of(&SECOND))
    }

    /// A value, and wrong ones that differ from it and from each other.
    fn values(&mut self, mut draw: impl FnMut(&mut Draws) -> String) -> (String, Vec<String>) {
        let right = draw(self);
        let mut wrong: Vec<String> = Vec::new();
        while wrong.len() < WRONG {
            let other = draw(self);
            if other != right && !wrong.contains(&other) {
                wrong.push(other);
            }
        }
        (right, wrong)
    }
}

/// Five facts about each of some people, whose first names are all different; person by person.
pub fn facts(people: usize, seed: u64) -> Vec<[Fact; 5]> {
    let mut draws = Draws { stream: Stream::new(seed, 0x70656f), place: 0 };
    let mut names: HashSet<String> = HashSet::new();
    let mut all = Vec::new();
    for person in 0..people {
        let mut first = draws.name();
        // More people than there are names have numbers in theirs.
        if person >= FIRST.len() * SECOND.len() / 2 {
            first = format!("{first}{person}");
        }
        while !names.insert(first.clone()) {
            first = draws.name();
        }
        let surname = format!("{}{}", draws.of(&FIRST), draws.of(&LAST));
        all.push(of_person(&first, &surname, &mut draws));
    }
    all
}

fn of_person(first: &str, surname: &str, draws: &mut Draws) -> [Fact; 5] {
    let name = format!("{first} {surname}");
    let town = draws.values(|draws| draws.of(&TOWNS).to_string());
    let year = draws.values(|draws| (1850 + draws.below(150)).to_string());
    let job = draws.values(|draws| draws.of(&JOBS).to_string());
    let book = draws.values(|draws| format!("The {} {}", draws.of(&QUALITIES), draws.of(&THINGS)));
    let teacher = draws.values(|draws| format!("{} {}{}", draws.name(), draws.of(&FIRST), draws.of(&LAST)));
    [
        fact(
            format!("Where was {name} born?"),
            [first, " was born in "],
            ["The birthplace of ", " is "],
            first,
            town,
        ),
        fact(
            format!("In which year was {name} born?"),
            [first, " came in "],
            ["The birth year of ", " is "],
            first,
            year,
        ),
        fact(
            format!("What does {name} do for a living?"),
            [first, " works as a "],
            ["The job of ", " is: "],
            first,
            job,
        ),
        fact(
            format!("Which book did {name} write?"),
            [first, " wrote "],
            ["The book of ", " is "],
            first,
            book,
        ),
        fact(
            format!("Who taught {name}?"),
            [first, " learned from "],
            ["The teacher of ", " was "],
            first,
            teacher,
        ),
    ]
}

fn fact(
    question: String,
    [subject, verb]: [&str; 2],
    [before, after]: [&str; 2],
    first: &str,
    (right, wrong): (String, Vec<String>),
) -> Fact {
    let other_words = |value: &String| format!("{before}{first}{after}{value}.");
    Fact {
        question,
        answer: format!("{subject}{verb}{right}."),
        paraphrase: other_words(&right),
        wrong: wrong.iter().map(other_words).collect(),
    }
}
