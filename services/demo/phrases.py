"""What the demo's crowd says: titles, briefs, offers and comments of each trade, with gaps that a generator fills."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Trade:
    """One kind of work; prices are whole units of money. `{company}`, `{city}`, `{dish}`, `{language}` are gaps."""

    category: str
    skills: tuple[str, ...]
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    price_range: tuple[int, int]


TRADES: Final = (
    Trade(
        "Design",
        ("branding", "illustration", "figma", "typography", "print design", "icon design", "ui design"),
        (
            "Logo and colours for {company}",
            "Menu for a small restaurant in {city}, with our {dish} on the cover",
            "Redesign the sign-up pages of {company}",
            "Poster for a street festival in {city}",
            "Packaging for frozen {dish}",
            "A set of 30 icons for the app of {company}",
        ),
        (
            "We have a name, a list of colours we like and a deadline. Please send two things you have made before.",
            "It has to work on paper and on a phone. Two rounds of changes are enough for us.",
            "The text is ready, in {language} and English. We need files that a printer in {city} can use.",
        ),
        (180, 1_900),
    ),
    Trade(
        "Software",
        ("python", "javascript", "postgresql", "typescript", "django", "react", "go", "api design", "accessibility"),
        (
            "Booking page for {company}",
            "Connect the shop of {company} to its accounting",
            "Make our site fast on old phones",
            "Move {company} from spreadsheets to a database",
            "A map of every bicycle stand in {city}",
            "Fix the {language} version of our app",
            "Import ten years of orders for {company}",
        ),
        (
            "There is a small code base with tests. We want somebody who reads before they write.",
            "The data is in eleven files, some of it twice. Better a script that can be run again than a quick fix.",
            "We are three people in {city} and have no developer. Tell us what you would do first and why.",
        ),
        (400, 6_500),
    ),
    Trade(
        "Writing",
        ("copywriting", "editing", "translation", "technical writing", "proofreading", "spanish", "french", "german"),
        (
            "Translate our handbook into {language}",
            "Product texts for {company}",
            "Edit a memoir about growing up in {city}",
            "A recipe booklet around {dish}",
            "Rewrite the terms of {company} so that people understand them",
            "Newsletter for {company}, twelve issues",
        ),
        (
            "About 40 pages in plain language. A glossary exists and is kept up to date.",
            "We know what we want to say and not how. An hour on the phone to begin with, then drafts.",
            "Please quote for the whole; we pay when the last page is read.",
        ),
        (120, 2_400),
    ),
    Trade(
        "Photography",
        ("photography", "photo editing", "product photography", "portraits", "drone"),
        (
            "Photos of our {dish} and eleven other dishes",
            "Portraits of the team at {company}",
            "A day of photos at the harbour festival in {city}",
            "Product photos for {company}, 60 pieces",
        ),
        (
            "White background, two angles each, files for web and print.",
            "We can come to your studio, or you to us in {city}. Daylight would be lovely.",
        ),
        (200, 2_200),
    ),
    Trade(
        "Data",
        ("data analysis", "excel", "sql", "python", "statistics", "dashboards"),
        (
            "A dashboard of last year's sales of {company}",
            "Clean a list of 20,000 addresses in {city}",
            "Find out why customers of {company} do not come back",
            "Survey of 800 answers in {language}: tables and a short report",
        ),
        (
            "CSV exports are ready. Something our accountant can open, please.",
            "We have questions rather than a specification. A first look by the end of the week would help us decide.",
        ),
        (250, 3_600),
    ),
    Trade(
        "Video",
        ("video editing", "animation", "sound design", "subtitles", "filming"),
        (
            "Two-minute film about {company}",
            "Subtitles in {language} for six lectures",
            "Cut 14 hours of a conference in {city} into talks",
            "Animated explainer for {company}",
        ),
        (
            "One morning of filming, music that we may use, two rounds of changes.",
            "The footage is on a disk in {city}; we can send it. Titles in our colours.",
        ),
        (300, 4_200),
    ),
    Trade(
        "Operations",
        ("linux", "devops", "postgresql", "networking", "monitoring", "security"),
        (
            "Backups that are tested, for {company}",
            "Move three servers of {company} to another data centre",
            "Office network for 25 people in {city}",
            "Find out why the shop of {company} is slow on Mondays",
        ),
        (
            "Debian, nginx, PostgreSQL. We want to sleep at night.",
            "There is documentation, and it is older than the servers. Write down what you find.",
        ),
        (350, 4_800),
    ),
    Trade(
        "Marketing",
        ("seo", "social media", "email marketing", "market research", "copywriting"),
        (
            "Tell people in {city} that {company} has opened",
            "A month of posts for {company}",
            "Find twenty shops that could sell our {dish}",
            "What do people who search for {company} really look for?",
        ),
        (
            "We have photos and no time. A plan first, then four weeks of it.",
            "Tell us honestly if it is not worth the money.",
        ),
        (150, 2_600),
    ),
)

BID_MESSAGES: Final = (
    "I did the same for a shop in {city} last year and can show you the result.",
    "I have read your brief twice; two questions, and I could begin on Monday.",
    "My price includes one round of changes and everything you need to go on without me.",
    "I work in small steps that you can look at every two or three days.",
    "This fits between two longer projects of mine, so I can be quick.",
    "I would start with half a day of looking at what is there, and then tell you if the price holds.",
    "Native speaker of {language}, eight years in this trade. References on request.",
    "Happy to do a small part first, so that you see how I work.",
)
COMMENTS: Final = (
    "Is the deadline fixed, or is a week later fine too?",
    "Could this be split? I would only do the first half.",
    "Does it have to be somebody in {city}?",
    "Who owns the files afterwards?",
    "The budget is fair for this, good luck!",
    "What does it look like today? A link or a photo would help.",
    "Would you take an offer for {language} as well?",
    "Is there anything that you have tried already?",
)
REPLIES: Final = (
    "A week later is fine.",
    "Better in one hand, but convince me.",
    "No, anywhere will do.",
    "Thank you, I have added that to the brief.",
    "Yes, gladly; please say so in your offer.",
)
CHANGE_NOTES: Final = (
    "Very close. The second part is still missing.",
    "Could you use the newer version of the text? I have sent it to you.",
    "Please make it a little shorter, then we are done.",
)
