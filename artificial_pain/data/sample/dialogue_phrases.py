"""The phrases of the synthetic ESConv, by what they are for; make_sample.py puts them together."""

# The tables are packed by hand: one phrase a line would make them too long to look over.
# fmt: off
# "{a|b|c}" in any phrase below is a slot from which one option is drawn.
EMOTION_COUNTS = {"anxiety": 52, "depression": 50, "sadness": 44, "anger": 36, "fear": 32, "shame": 30, "disgust": 30}

ADJECTIVES = {
    "anger": ("angry", "annoyed", "mad", "irritated", "resentful", "bitter"),
    "anxiety": ("anxious", "nervous", "worried", "on edge", "tense", "jittery"),
    "depression": ("depressed", "hopeless", "numb", "empty", "worn down", "listless"),
    "disgust": ("disgusted", "revolted", "repelled", "sickened", "grossed out", "put off"),
    "fear": ("afraid", "scared", "frightened", "fearful", "spooked", "alarmed"),
    "sadness": ("sad", "tearful", "low", "blue", "heavy-hearted", "sorrowful"),
    "shame": ("ashamed", "embarrassed", "humiliated", "small", "unworthy", "foolish"),
}
# These fit any emotion, so that the label cannot always be read off one adjective.
NEUTRAL_ADJECTIVES = ("upset", "troubled", "unhappy", "uncomfortable", "shaken", "out of sorts", "unsettled")

# Signs that do not name the emotion, in three strengths: mild, middle, strong.
SIGNS = {
    "anger": (
        ("I catch myself muttering about it {now and then|once in a while}.", "I roll my eyes when it comes up.",
         "It gets under my skin for a minute or two.", "I can be short with people when it comes up."),
        ("I keep rehearsing what I should have said back.", "My jaw is clenched by {noon|the evening}.",
         "I snap at people over {small things|nothing}.", "It is so unfair that I struggle to let it go."),
        ("My blood boils the moment it crosses my mind.", "I slam doors and shout at the walls over this.",
         "I want to scream at whoever is responsible.", "I see red all day because of how unfair it is."),
    ),
    "anxiety": (
        ("I check my {phone|inbox} slightly more than I need to.", "A few what-ifs pass through my head at night.",
         "I fidget when I have a quiet moment.", "My mind drifts to what might go wrong."),
        ("I go over what could go wrong {again and again|several times a day}.", "I cannot sit still for long.",
         "My stomach is in knots {before each day starts|most mornings}.", "I make lists and check them twice."),
        ("My thoughts race all night and I cannot switch them off.", "My heart pounds all day over what-ifs.",
         "I cannot eat because every possible outcome spins in my head.",
         "I am wound so tight that I cannot plan the next hour."),
    ),
    "depression": (
        ("I have slightly less energy for my hobbies.", "Things I like are a shade less fun than before.",
         "I stay in bed a little longer than I should.", "I answer messages a day late because I cannot be bothered."),
        ("I do not enjoy the things I used to enjoy.", "Getting dressed takes me most of the morning.",
         "I have little energy and let the {dishes|laundry} pile up.",
         "I cancel plans because they hardly seem worth the effort."),
        ("I cannot get out of bed {for days|before the afternoon}.",
         "Every day is grey and I cannot picture it getting better.",
         "I have stopped cooking, cleaning and answering anyone.", "Nothing gives me any joy from morning to night."),
    ),
    "disgust": (
        ("I wrinkle my nose when it comes up.", "It leaves a slightly bad taste in my mouth.",
         "I prefer to keep my distance from anything to do with it.", "I look away when something reminds me of it."),
        ("The thought of it turns my stomach.", "I lose my appetite when it comes up.",
         "I want to wash all of it off me.", "I pull a face whenever I have to deal with it."),
        ("It makes me want to throw up.", "My skin crawls every time it comes up.",
         "I gag at the mere thought of how vile it is.",
         "It is so rotten that I cannot stand to be near any of it."),
    ),
    "fear": (
        ("I look over my shoulder once in a while.", "I put off opening messages, just in case.",
         "I get a small jolt when {the phone|the doorbell} rings.",
         "I prefer not to be alone with it in the evening."),
        ("I flinch whenever {the phone|the doorbell} rings.", "I avoid the places where it could come up.",
         "My hands go cold when I think of what is coming.", "I leave the light on at night."),
        ("I freeze and cannot move when it comes up.", "I dread every day so much that I hide in my room.",
         "My whole body shakes at the thought of what is coming.",
         "I wake up in terror and check the locks for hours."),
    ),
    "sadness": (
        ("I sigh slightly more than I used to.", "Some songs make my eyes sting for a moment.",
         "I look at old photos and go quiet for a while.", "I miss how it used to be from time to time."),
        ("I cry {once or twice a week|in the evening}.", "I get a lump in my throat when I talk about it.",
         "I keep thinking of what I have lost.", "I miss how things were and my heart sinks."),
        ("I cry myself to sleep every night.", "It is as if my heart were broken in two.",
         "I burst into tears in the middle of everything.", "From morning to night I grieve for what I lost."),
    ),
    "shame": (
        ("I blush for a moment when someone asks about it.", "I change the subject when people ask.",
         "I leave that part out when I tell the story.", "I prefer that nobody finds out."),
        ("I avoid looking people in the eye.", "I hide how things are from everyone I know.",
         "I keep telling myself that I should have known better.", "I replay how silly I must have looked."),
        ("I want the ground to swallow me up.", "I cannot face anyone because of what they must think of me.",
         "I am sure I look like a failure and a fraud in every room.",
         "I stay away from everybody so that nobody sees what I have become."),
    ),
}
STRENGTH = {1: 0, 2: 0, 3: 1, 4: 2, 5: 2}  # initial intensity to strength of the sign
# The emotion that a second, weaker sign is borrowed from, as feelings seldom come alone.
NEAR = {
    "anger": ("disgust", "sadness"),
    "anxiety": ("fear", "depression"),
    "depression": ("sadness", "shame"),
    "disgust": ("anger", "shame"),
    "fear": ("anxiety",),
    "sadness": ("depression", "anger"),
    "shame": ("disgust", "anxiety", "sadness"),
}
SHARED_SIGNS = (
    "I do not sleep well.", "I find it hard to focus.", "I have been eating badly.", "My head aches a lot.",
    "My shoulders ache {by the evening|most days}.", "I {avoid|skip} going out on the weekend.")

ADVERBS = {  # initial intensity 1..5
    1: ("a little", "a touch", "ever so slightly", "just a tiny bit"),
    2: ("somewhat", "a bit", "mildly", "kind of"),
    3: ("quite", "fairly", "rather", "pretty"),
    4: ("really", "very", "so very", "truly"),
    5: ("unbearably", "extremely", "terribly", "overwhelmingly"),
}
WEIGHTS = {
    1: ("It is a small thing and most of the day I forget it.", "It is barely there most of the time."),
    2: ("It comes and goes, and I can get on with my day.", "I can usually put it aside for a while."),
    3: ("It is there for a good part of the day.", "It gets in the way more often than I would like."),
    4: ("It is with me nearly all the time.", "It makes it hard to do much else."),
    5: ("It has taken over my whole life.", "I have never felt anything this strongly.", "It is more than I can bear."),
}
FEEL = (
    "I feel <adverb> <adjective> about <cause>.", "I have been feeling <adverb> <adjective> because of <cause>.",
    "When I think about <cause>, I feel <adverb> <adjective>.",
    "Thinking of <cause> makes me feel <adverb> <adjective>.")

STATES = {  # final intensity 1..5
    1: ("I feel almost fine now.", "I am nearly at ease now.", "I can even smile about it now."),
    2: (
        "It is small enough to carry now.", "I can live with the little that is there.",
        "I think I can manage it."),
    3: ("There is still a fair amount of it in me.", "Part of it is still there.", "It still bothers me at times."),
    4: ("It still hurts a lot.", "It still weighs heavily on me.", "Most days will still be hard."),
    5: ("It is still as bad as it could be.", "I still cannot bear it.", "It is still crushing."),
}
CHANGES = {  # initial minus final; -1 is a feeling that grew
    -1: ("Talking has stirred it up even more.", "It is actually worse than before we talked."),
    0: ("To be honest, nothing has changed.", "I feel about the same as when we started."),
    1: ("Talking took the edge off.", "I feel slightly better than when we started."),
    2: ("I feel clearly better than when we started.", "A good part of the weight has gone."),
    3: ("It is much, much better than when I came here.", "What a relief, nearly all the weight has gone."),
}
REPLIES = {  # to a suggestion: warm when the talk helped, doubtful when it did not
    True: (
        "I {could|will} {try that|give that a go} {tomorrow|this week|on the weekend}.", "That is a {good|nice} idea.",
        "I had not {thought of|considered} that before."),
    False: (
        "I am not sure that would work for me.", "I have tried that {before|already}, without much luck.",
        "Maybe, but I doubt that I can do that {right now|this week}."),
}

PROBLEMS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {  # type: (cause, openings, details)
    "job crisis": (
        "my job",
        ("My {company|office|shop} is cutting {hours|posts} and my name came up.",
         "My manager moved me to another team.", "I was passed over for a {promotion|permanent contract}."),
        ("My manager told everyone before telling me.", "The {rent|loan} still has to be paid every month.",
         "A colleague took credit for my {report|project}.", "I found out from a group email."),
    ),
    "ongoing depression": (
        "this long rough patch",
        ("I have been in a rough patch that does not end.", "This has been a dark stretch for me.",
         "I am back in the same hole as last year."),
        ("My {clinic|therapist} cancelled on me twice.", "My relatives say I should just snap out of it.",
         "My flat is {a mess|full of rubbish bags} and I live in it.", "I let a whole month of bills go unpaid."),
    ),
    "breakup with partner": (
        "the breakup",
        ("My partner left me {by text|out of the blue}.", "My partner and I split up after {three|five|eight} years.",
         "I found out my partner was seeing someone else."),
        ("They were lying to me for months.", "We still share the {lease|dog|car}.",
         "All our friends knew before I did.", "They turn up at my door without asking."),
    ),
    "problems with friends": (
        "what happened with my friends",
        ("My closest friend has {stopped talking to|dropped} me.", "My friends went on a trip without telling me.",
         "A friend told my secret to the whole group."),
        ("They made jokes about me in the group chat.", "I said something clumsy at a party.",
         "Someone shared a private photo of my messy room.", "We have known each other since {school|childhood}."),
    ),
    "academic pressure": (
        "my course",
        ("I failed {an exam|a module} that I needed.", "My {thesis|final project} is due and I am far behind.",
         "My tutor criticised my work in front of the class."),
        ("Half the class cheated and nothing was done.", "My scholarship depends on the next {grade|exam}.",
         "My parents paid for this {year|course}.", "I handed in something that I did in one night."),
    ),
    "issues with parents": (
        "the trouble with my parents",
        ("My parents and I had a {big row|falling-out}.", "My parents want to decide {where I live|whom I see} again.",
         "My father has stopped speaking to me."),
        ("They read my {letters|messages} without asking.", "They said it at a dinner with all the relatives.",
         "I said things that I cannot take back.", "I still {live with them|depend on their money}."),
    ),
    "sleep problems": (
        "these awful nights",
        ("I hardly sleep {any more|in my new flat}.", "My flatmates keep me up until three every night.",
         "I wake up at four every night."),
        ("The kitchen below me smells of old grease all night.", "Someone keeps knocking at the wrong door.",
         "I dozed off in an important meeting.", "I used to sleep so well in my old place."),
    ),
}
GREETINGS = (
    "{Hi|Hello|Hey}, I could use someone to talk to.", "{Hi|Hello}, thanks for being here.", "Hello there.",
    "{Hi|Hey}, I am not sure where to start.", "Good {evening|morning}.")
TIMES = (
    "It {started|began} {two weeks|about a month|half a year} ago.", "It has been like this since {spring|winter}.",
    "This has gone on for {weeks|a couple of months} now.", "It got worse {last week|a few days ago}.")
DISTRACTORS = (
    "My {sister|brother|cousin|flatmate} feels <adjective> about it, but that is not how it is for me.",
    "I do not even feel <adjective>, that would be easier to explain.",
    "People think I must feel <adjective>, but I do not.",
    "My best friend feels <adjective> just hearing about it, which is not my own reaction.")
EXTRAS = (
    "I have not told anyone else about this yet.", "I do not know {whom to ask|where to turn}.",
    "It is hard to put into words.", "I never thought I would be in this place.",
    "I keep it to myself at {work|home}.")
THANKS = (
    "Thank you for {listening|your time|being patient with me}.", "Thanks for {talking with|hearing} me.",
    "I am glad I {wrote|reached out}, either way.")

BEFORE: dict[str, tuple[tuple[str, str], ...]] = {  # what the supporter may say before each kind of seeker turn
    "open": (
        ("Others", "Hello, {how are you today?|I am glad you are here.}"), ("Question", "Hi, what is on your mind?")),
    "feel": (("Question", "How does that make you feel?"), ("Question", "I hear you. What does that do to you?")),
    "detail": (
        ("Question", "Can you tell me more about what happened?"),
        ("Restatement or Paraphrasing", "So this has not been easy for you. What else happened?")),
    "sign": (
        ("Question", "How does it show in your daily life?"),
        ("Reflection of feelings", "That sounds hard. What do you notice in yourself?")),
    "aside": (("Question", "How do the people around you take it?"), ("Question", "Is there anything else in it?")),
    "extra": (
        ("Affirmation and Reassurance", "It takes courage to talk about this."),
        ("Self-disclosure", "I went through something like it once, and it took time.")),
    "reply": (
        ("Providing Suggestions", "Would it help to {write it down|take a short walk|call someone you trust}?"),
        ("Providing Suggestions", "You could pick one small step and leave the rest for later."),
        ("Information", "Many people find that a fixed daily routine helps.")),
    "close": (
        ("Question", "How are you now, compared with when we began?"),
        ("Question", "Before we finish, how do things look to you now?")),
    "bye": (
        ("Affirmation and Reassurance", "You have done well to share this."), ("Others", "Thank you for telling me.")),
}
# fmt: on
