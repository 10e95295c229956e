//! A made encyclopaedia of people, towns and books that link to each other. People have nicknames which stand on pages of others alone, as the
//! text of links: who is meant can be learned from links only.

use super::phrases::{
    ANIMALS, FAMILY, FIRST, GOODS, HOBBIES, JOBS, QUALITIES, RIVER, SUBJECTS, THINGS, TOWN,
};
use super::{PageTask, Wiki};
use plackett_genir::corpus_pretraining::{Link, Page};
use plackett_train::random::Stream;

/// Most people, of whom each has a name, a nickname and a subject of its own.
pub const MOST_PEOPLE: usize = 140;
/// Queries that are held out.
const HELD_OUT: f32 = 0.3;

/// The `at`th pair of two lists, in a drawn order.
struct Pairs {
    order: Vec<usize>,
    width: usize,
}

impl Pairs {
    fn new(lists: [usize; 2], stream: Stream) -> Pairs {
        Pairs { order: stream.permutation(lists[0] * lists[1]), width: lists[1] }
    }

    fn of(&self, at: usize) -> (usize, usize) {
        let place = self.order[at % self.order.len()];
        (place / self.width, place % self.width)
    }
}

struct Person {
    name: String,
    family: String,
    nickname: String,
    job: &'static str,
    hobby: &'static str,
    subject: String,
    town: usize,
    grave: usize,
    friends: [usize; 2],
    book: usize,
    year: usize,
}

struct Town {
    name: String,
    river: String,
    goods: &'static str,
}

struct Book {
    title: String,
    subject: String,
    author: usize,
    town: usize,
}

/// All that pages and queries are made of.
struct Facts {
    people: Vec<Person>,
    towns: Vec<Town>,
    books: Vec<Book>,
}

/// Pages of `people` people, half as many books and a quarter as many towns, and queries about them.
pub fn encyclopaedia(people: usize, seed: u64) -> Wiki {
    let facts = Facts::draw(people.clamp(8, MOST_PEOPLE), seed);
    let mut pages: Vec<Page> = Vec::new();
    pages.extend(facts.people.iter().map(|person| facts.page_of_person(person)));
    pages.extend((0..facts.towns.len()).map(|town| facts.page_of_town(town)));
    pages.extend(facts.books.iter().map(|book| facts.page_of_book(book)));
    Wiki { pages, tasks: facts.tasks(Stream::new(seed, 1 << 40)) }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl Facts {
    fn draw(count: usize, seed: u64) -> Facts {
        let pairs = |stream: u64, a: usize, b: usize| Pairs::new([a, b], Stream::new(seed, stream));
        let sizes = |lists: [&[&str]; 2]| (lists[0].len(), lists[1].len());
        let joined = |lists: [&[&str]; 2], (a, b): (usize, usize)| format!("{}{}", lists[0][a], lists[1][b]);
        let of = |stream: u64, lists: [&[&str]; 2]| pairs(stream, sizes(lists).0, sizes(lists).1);
        let (first, family, town_names, rivers) = (of(1, FIRST), of(2, FAMILY), of(3, TOWN), of(4, RIVER));
        let nicknames = pairs(5, QUALITIES.len(), ANIMALS.len());
        let subjects = pairs(6, QUALITIES.len(), SUBJECTS.len());
        let book_titles = pairs(7, QUALITIES.len(), THINGS.len());
        let subject = |at: usize| {
            let (quality, what) = subjects.of(at);
            format!("{} {}", QUALITIES[quality], SUBJECTS[what])
        };
        let draws = Stream::new(seed, 8);
        let draw = |at: usize, fact: usize, end: usize| draws.below((at * 16 + fact) as u64, end);
        let (towns, books) = ((count / 4).min(60), count / 2);
        let person = |at: usize| {
            let (quality, animal) = nicknames.of(at);
            let family = joined(FAMILY, family.of(at));
            Person {
                name: format!("{} {family}", joined(FIRST, first.of(at))),
                family,
                nickname: format!("the {} {}", QUALITIES[quality], ANIMALS[animal]),
                job: JOBS[draw(at, 0, JOBS.len())],
                hobby: HOBBIES[draw(at, 1, HOBBIES.len())],
                subject: subject(at),
                town: draw(at, 2, towns),
                grave: draw(at, 3, towns),
                friends: [
                    (at + 1 + draw(at, 4, count - 1)) % count,
                    (at + 1 + draw(at, 5, count - 1)) % count,
                ],
                book: draw(at, 6, books),
                year: 1700 + draw(at, 7, 200),
            }
        };
        let book = |at: usize| {
            let (quality, thing) = book_titles.of(at);
            Book {
                title: format!("The {} {}", capitalised(QUALITIES[quality]), THINGS[thing]),
                subject: subject(count + at),
                author: draw(at, 8, count),
                town: draw(at, 9, towns),
            }
        };
        let town = |at: usize| Town {
            name: joined(TOWN, town_names.of(at)),
            river: joined(RIVER, rivers.of(at)),
            goods: GOODS[draw(at, 10, GOODS.len())],
        };
        Facts {
            people: (0..count).map(person).collect(),
            towns: (0..towns).map(town).collect(),
            books: (0..books).map(book).collect(),
        }
    }

    fn page_of_person(&self, person: &Person) -> Page {
        let Person { name, family, job, hobby, subject, year, .. } = person;
        let (town, grave) = (&self.towns[person.town].name, &self.towns[person.grave].name);
        let [friend, other] = person.friends.map(|friend| &self.people[friend]);
        let book = &self.books[person.book].title;
        let paragraphs = vec![
            format!("{name} was a {job} from {town} who is best known today for a long study of {subject} ."),
            format!(
                "Born in {town} in {year} as the youngest of seven children , {family} left school early and went to sea ."
            ),
            format!(
                "Until the great flood {family} shared a house and a love of {hobby} with {} , who paid the rent .",
                friend.nickname
            ),
            format!(
                "A medal for the work on {subject} came late , and {family} gave it away on the same evening ."
            ),
            format!(
                "The notebooks of {family} are full of remarks about {book} , which nobody else had read twice ."
            ),
            format!(
                "In letters {family} calls {} a thief of ideas , and the quarrel went on for eleven years .",
                other.nickname
            ),
            format!(
                "As a {job} {family} was slow but careful , and took {hobby} more seriously than any patient or client ."
            ),
            format!(
                "The grave is in {grave} , under a tree that visitors of the town still look for in spring ."
            ),
            format!(
                "A street , a ship and a small museum of {subject} carry the name of {family} to this day ."
            ),
        ];
        let link = |paragraph: usize, title: &str| Link { paragraph, title: title.to_string() };
        let links = vec![
            link(0, town),
            link(1, town),
            link(2, &friend.name),
            link(4, book),
            link(5, &other.name),
            link(7, grave),
        ];
        Page { title: name.clone(), paragraphs, links }
    }

    fn page_of_town(&self, place: usize) -> Page {
        let Town { name, river, goods } = &self.towns[place];
        let next = &self.towns[(place + 1) % self.towns.len()].name;
        let born = self.people.iter().find(|person| person.town == place);
        let mut paragraphs = vec![
            format!("{name} is a town on the river {river} that has made {goods} since the middle ages ."),
            format!(
                "The old road to {next} crosses the {river} on a stone bridge that was built after the great flood ."
            ),
            format!(
                "The market of {name} was famous for its {goods} , which were sold as far away as the southern islands ."
            ),
            format!(
                "In winter the {river} freezes , and the people of {name} hold a race on the ice with lanterns ."
            ),
            format!(
                "A fire destroyed the town hall of {name} and most of the papers that told of its first years ."
            ),
            format!(
                "Today most people of {name} work in offices , and only two workshops for {goods} are left there ."
            ),
            format!(
                "The station of {name} lies far from the middle of the town , since the railway had to follow the {river} ."
            ),
            format!(
                "The school of {name} teaches a song of the {river} to every child , and visitors who know it drink for nothing ."
            ),
        ];
        let mut links = vec![Link { paragraph: 1, title: next.clone() }];
        if let Some(person) = born {
            let nickname = &person.nickname;
            paragraphs.push(format!("A stone by the gate remembers {nickname} , who was a child here and never came back to visit ."));
            links.push(Link { paragraph: 8, title: person.name.clone() });
        }
        Page { title: name.clone(), paragraphs, links }
    }

    fn page_of_book(&self, book: &Book) -> Page {
        let (Book { title, subject, .. }, author, town) =
            (book, &self.people[book.author], &self.towns[book.town].name);
        let nickname = &author.nickname;
        let paragraphs = vec![
            format!(
                "{title} is a novel by {} about {subject} and the people who cannot stop thinking of them .",
                author.name
            ),
            format!(
                "The story begins in {town} , where a nameless narrator finds a box of pictures of {subject} in a cellar ."
            ),
            format!(
                "Critics said that {nickname} had written it in nine days , and that this could be felt on every page ."
            ),
            format!(
                "The second part of {title} is told backwards , from the death of the hero to the first rain ."
            ),
            format!(
                "A film of {title} was begun twice and never finished , since the money for the ships ran out ."
            ),
            format!(
                "In {town} there is a walk on which every house that is named in {title} can be seen from outside ."
            ),
            format!(
                "The first edition had a misprint in its name , and copies of it are sold for more than a house ."
            ),
            format!(
                "For its readers {subject} became a fashion , and children were named after the three sisters of the story ."
            ),
        ];
        let link = |paragraph: usize, title: &str| Link { paragraph, title: title.to_string() };
        let links = vec![link(0, &author.name), link(1, town), link(2, &author.name), link(5, town)];
        Page { title: title.clone(), paragraphs, links }
    }

    fn tasks(&self, stream: Stream) -> Vec<PageTask> {
        let mut tasks: Vec<PageTask> = Vec::new();
        let mut ask = |task: &str, text: String, pages: &[&str]| {
            let is_test = stream.uniform(tasks.len() as u64) < HELD_OUT;
            let evidence = vec![pages.iter().map(ToString::to_string).collect()];
            tasks.push(PageTask { task: task.into(), is_test, text, evidence });
        };
        for (at, person) in self.people.iter().enumerate() {
            let Person { name, family, nickname, job, subject, .. } = person;
            let (town, other) = (&self.towns[person.town].name, &self.towns[at % self.towns.len()].name);
            ask("question", format!("which {job} studied {subject} ?"), &[name]);
            ask("question", format!("who was honoured for research on {subject} ?"), &[name]);
            ask("question", format!("where was {family} , the {job} , born ?"), &[name]);
            ask("slot", format!("{name} [SEP] place of birth"), &[name]);
            ask("slot", format!("{name} [SEP] field of study"), &[name]);
            ask("claim", format!("{family} was born in {town} ."), &[name]);
            ask("claim", format!("{family} never won a medal for {subject} ."), &[name]);
            ask(
                "entity",
                format!(
                    "nobody in {other} knew that [START_ENT] {nickname} [END_ENT] would come to the ball"
                ),
                &[name],
            );
            ask(
                "entity",
                format!("she had once met [START_ENT] {nickname} [END_ENT] at a dinner , or so she said"),
                &[name],
            );
            let friend = &self.people[(at + 1) % self.people.len()];
            ask(
                "several",
                format!("did both {family} and {} work as a {job} ?", friend.family),
                &[name, &friend.name],
            );
        }
        for town in &self.towns {
            ask("question", format!("which town lies on the river {} ?", town.river), &[&town.name]);
            ask("slot", format!("{} [SEP] river", town.name), &[&town.name]);
            ask("claim", format!("{} is known for its {} .", town.name, town.goods), &[&town.name]);
        }
        for book in &self.books {
            ask("question", format!("what is the novel about {} called ?", book.subject), &[&book.title]);
            ask("slot", format!("{} [SEP] author", book.title), &[&book.title]);
            ask("claim", format!("{} was made into a film .", book.title), &[&book.title]);
        }
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_genir::corpus_pretraining::CorpusPretraining;
    use std::collections::HashSet;

    #[test]
    fn pages_have_titles_of_their_own_and_nothing_is_too_short_to_learn_from() {
        for people in [8, 120, MOST_PEOPLE] {
            let wiki = encyclopaedia(people, 1);
            let titles: HashSet<&str> = wiki.pages.iter().map(|page| &page.title[..]).collect();
            assert_eq!(
                (titles.len(), wiki.pages.len()),
                (wiki.pages.len(), people + people / 2 + people / 4)
            );
            let pairs = CorpusPretraining::default().pairs(&wiki.pages);
            assert_eq!((pairs.short_pages, pairs.short_paragraphs, pairs.dangling), (0, 0, 0));
            assert!(
                wiki.tasks
                    .iter()
                    .flat_map(|task| task.evidence.iter().flatten())
                    .all(|t| titles.contains(&t[..]))
            );
        }
        assert_eq!(encyclopaedia(20, 3), encyclopaedia(20, 3));
        assert_ne!(encyclopaedia(20, 3), encyclopaedia(20, 4));
    }

    #[test]
    fn nicknames_stand_on_pages_of_others_alone() {
        let wiki = encyclopaedia(60, 1);
        for task in wiki.tasks.iter().filter(|task| task.task == "entity") {
            let nickname =
                task.text.split("[START_ENT] ").nth(1).unwrap().split(" [END_ENT]").next().unwrap();
            let own = wiki.pages.iter().find(|page| page.title == task.evidence[0][0]).unwrap();
            assert!(own.paragraphs.iter().all(|text| !text.contains(nickname)), "{nickname}");
        }
    }
}
