"""The phrases of the synthetic SAD, by what they are for; make_sample.py puts them together."""

# The tables are packed by hand: one phrase a line would make them too long to look over.
# fmt: off
# "{a|b|c}" in any phrase below is a slot from which one option is drawn.
STRESSOR_COUNTS = {
    "Work": 66,
    "School": 58,
    "Social Relationships": 48,
    "Emotional Turmoil": 46,
    "Family Issues": 42,
    "Health, Fatigue, or Physical Pain": 40,
    "Financial Problem": 36,
    "Everyday Decision Making": 32,
    "Other": 32,
}
STRESSORS = {
    "Work": (
        "My {boss|manager|supervisor} {moved|added to|changed} my {shifts|workload|targets} {again|without asking}",
        "I have {three|four|too many} {meetings|calls|reports|clients} {today|before lunch|this afternoon}",
        "A {coworker|colleague} {blames me for|argues with me about} the {delay|late order|project|mistake}",
        "My {job interview|performance review|presentation} is {tomorrow|on Monday|in an hour}",
        "The {office|team|warehouse} is {short of staff|being restructured|run badly} {again|this month}"),
    "School": (
        "I have {an exam|two tests|a quiz} in {maths|biology|history|physics} {tomorrow|this week|on Monday}",
        "My {essay|lab report|homework} is due {tonight|on Friday} and I have {barely started|no ideas}",
        "My {professor|teacher|tutor} {marked down|failed} my {paper|essay|project} and I {disagree|do not see why}",
        "I am {behind|lost|failing} in my {statistics|chemistry|language|art} class {again|this term}",
        "My {college|university} {applications|finals|courses} are {coming up|almost here|hard to plan}"),
    "Social Relationships": (
        "My {girlfriend|boyfriend|partner} and I {argued|fought|stopped talking} {again|last night|on our trip}",
        "My {best friend|roommate|neighbour} has {ignored|avoided|lied to} me {again|all week|since the party}",
        "I was not {invited to|told about} {the party|a wedding|the trip} and {my friends|the others} were",
        "I {find it hard to make|cannot seem to make} {friends|conversation} in {a new city|this group|my club}",
        "My {ex|crush|date} {texted me|saw someone else|stood me up} {last night|yesterday|on Saturday}"),
    "Emotional Turmoil": (
        "I feel {empty|hopeless|lonely|anxious|worthless} {for no reason|most mornings|and cannot say why}",
        "I keep {crying|panicking|doubting myself} {at night|over nothing|without a reason|in the evening}",
        "My {moods|thoughts|emotions} {swing|race|run wild} {all day|from hour to hour|when I am alone}",
        "I am {afraid of|sad about|worried about} {the future|growing older|being alone|who I have become}",
        "{Every day|These days|Most nights} I {miss|mourn} {the person I was|my dog who died|how life used to be}"),
    "Family Issues": (
        "My {mother|father|brother|sister} and I {argue|fight|shout} {at every dinner|all the time|on the phone}",
        "My parents are {getting divorced|fighting|moving away|disappointed in me} {again|this year|after years}",
        "My {son|daughter|kid} {will not listen|got into trouble|was rude} {at school|at home|lately}",
        "I look after my {grandmother|grandfather|aunt}, who is {ill|forgetful|in hospital}",
        "My {in-laws|relatives|cousins} {stay with us|criticise me} {every weekend|on holidays|all summer}"),
    "Health, Fatigue, or Physical Pain": (
        "My {back|knee|neck|head|stomach} {hurts|aches} {all day|when I get up|again}",
        "I have {slept badly|been exhausted|had no energy} {for days|all week|since Sunday}",
        "I am waiting for my {test|scan|blood} results from the {doctor|hospital|clinic}",
        "I {have a cold|feel sick|sprained my ankle} and {cannot rest|cannot work|must wait for a doctor}",
        "I {gained|lost} {too much|a lot of} weight {this year|lately|after surgery}"),
    "Financial Problem": (
        "I cannot {pay|afford} my {rent|tuition|phone bill|groceries} {this month|any more|on this income}",
        "My {credit card|student loan|car} {debt|payment} keeps {growing|coming back|me broke}",
        "I {have no savings|am broke|must borrow} until {payday|next month|the tax refund comes}",
        "The {car repair|dentist|vet|plumber} {bill|invoice} {was more than I have|took all my money}"),
    "Everyday Decision Making": (
        "I cannot decide {what to cook|what to wear|what to buy|where to eat} {tonight|for the weekend|on Friday}",
        "I do not know {whether|if} I should {move|change jobs|buy a car|switch courses|get a cat}",
        "I have to choose between {two flats|two trips|two offers|two doctors} {by Friday|today|this week}",
        "I have too many {errands|chores|plans} {today|this week} and do not know {where to start|which to do first}"),
    "Other": (
        "The {traffic|train|bus} was {awful|terrible|a mess} {again|this morning|on the way home}",
        "{The news|Politics|The election} {is all anyone talks about|wears me out} {these days|this year|just now}",
        "I lost my {keys|wallet|phone|umbrella} {somewhere|on the way home|at the station}",
        "The {neighbours|builders next door|dogs next door} are {loud|noisy} {all night|every weekend}",
        "The {storm|heat|snow} {has not stopped|has kept me indoors} {all week|since Monday|this month}"),
}
# Sentences that two stressors could claim; they keep the task from being trivial.
SHARED_STRESSORS = (
    (("Work", "School"), "I have {so|far} too much to finish before the deadline {on Friday|tomorrow|tonight}"),
    (("Work", "Health, Fatigue, or Physical Pain"), "I am {tired|exhausted} after {another long|a double} shift"),
    (("Family Issues", "Financial Problem"), "My {brother|sister|father} {asks me for|owes me} money {again|still}"),
    (("Emotional Turmoil", "Social Relationships"), "I feel {lonely|left out|unwanted} {tonight|on weekends}"),
    (("Everyday Decision Making", "Other"), "I {forgot|missed} {an appointment|a delivery|a call} {today|yesterday}"),
    (("School", "Financial Problem"), "I need a {loan|part-time job} to {stay in|pay for} {college|university}"),
)
TAILS = (  # (lowest, highest severity, endings)
    (0.5, 3.5, (".", ", but I will manage.", ", which weighs on me a little.", ", though I can live with it.")),
    (3.0, 6.5, (".", ". It bothers me.", ", which is stressful.", ". I am not sure what to do.")),
    (6.0, 9.8, (". I cannot cope.", ". I am completely overwhelmed.", ", and I am at my limit.",
                ". It is ruining everything.")),
)
NEIGHBOURS = {
    "Work": "Financial Problem",
    "School": "Work",
    "Social Relationships": "Emotional Turmoil",
    "Emotional Turmoil": "Social Relationships",
    "Family Issues": "Social Relationships",
    "Financial Problem": "Work",
    "Health, Fatigue, or Physical Pain": "Emotional Turmoil",
    "Everyday Decision Making": "Other",
    "Other": "Everyday Decision Making",
}
# fmt: on
