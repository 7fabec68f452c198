-- Column names after Japan Post's own description of the files.
CREATE TABLE IF NOT EXISTS offices (
    jis_code      text NOT NULL,
    name_kana     text NOT NULL,
    name          text NOT NULL,
    prefecture    text NOT NULL,
    city          text NOT NULL,
    town          text NOT NULL,
    street        text NOT NULL,
    zip_code      text PRIMARY KEY,
    old_zip_code  text NOT NULL,
    post_office   text NOT NULL,
    kind          smallint NOT NULL,
    sequence      smallint NOT NULL,
    change        smallint NOT NULL
);
CREATE TABLE IF NOT EXISTS postal_codes (
    jis_code            text NOT NULL,
    old_zip_code        text NOT NULL,
    zip_code            text NOT NULL,
    prefecture_kana     text NOT NULL,
    city_kana           text NOT NULL,
    town_kana           text NOT NULL,
    prefecture          text NOT NULL,
    city                text NOT NULL,
    town                text NOT NULL,
    several_codes       smallint NOT NULL,
    numbered_by_koaza   smallint NOT NULL,
    has_chome           smallint NOT NULL,
    several_towns       smallint NOT NULL,
    updated             smallint NOT NULL,
    reason              smallint NOT NULL
);
