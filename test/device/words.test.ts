import { describe, expect, test } from 'vitest'
import { LANGUAGES, type Message, UNPAID_REASONS, unpaidMessage, type Words, WORDS } from '../../device/words.js'
import { CLOSE_REASONS } from '../../device/protocol/wire.js'

/** Every text of a language, by its path. */
function texts(words: Words): ReadonlyMap<string, string> {
  const all = new Map<string, string>()
  const visit = (path: string, value: unknown): void => {
    if (typeof value === 'string') all.set(path, value)
    else if (typeof value === 'object' && value !== null) for (const [key, inner] of Object.entries(value)) visit(`${path}.${key}`, inner)
  }
  visit('', {
    ...words, amountTooSmall: words.amountTooSmall('THB 20.00'), amountTooLarge: words.amountTooLarge('THB 150,000.00'),
    timeLeft: words.timeLeft(90), lastStep: words.timeLeft(15),
  })
  return all
}

/** The only texts that may be missing: some headlines say it all. */
const MAY_BE_EMPTY = new Set(['.outOfService.detail', '.currencyNotSupported.detail'])

describe.each(LANGUAGES)('in %s', (language) => {
  const words = WORDS[language]

  test('no text is missing', () => {
    for (const [path, text] of texts(words)) if (!MAY_BE_EMPTY.has(path)) expect(text.trim(), path).not.toBe('')
    expect([...texts(words).keys()]).toEqual([...texts(WORDS.en).keys()])
  })

  test('texts are short enough for a panel', () => {
    for (const [path, text] of texts(words)) expect(text.length, `${path}: ${text}`).toBeLessThanOrEqual(40)
  })

  test('every reason a terminal or a wallet may give has its own words', () => {
    expect([...UNPAID_REASONS]).toEqual(expect.arrayContaining([...CLOSE_REASONS]))
    for (const reason of UNPAID_REASONS) expect(unpaidMessage(words, reason)).toBe(words.unpaid[reason])
  })

  test.each(['a_new_failure_code', '', 'constructor', '__proto__', 'toString'])('the unknown reason %j is said in general words', (reason) => {
    expect(unpaidMessage(words, reason)).toBe(words.unpaidOtherwise)
  })

  test('the limit that was missed is named', () => {
    expect(words.amountTooSmall('THB 20.00').detail).toContain('THB 20.00')
    expect(words.amountTooLarge('THB 150,000.00').detail).toContain('THB 150,000.00')
  })

  test('the time left names minutes and seconds, and in the last step only an upper bound', () => {
    expect(words.timeLeft(90)).toMatch(/1 .*30 /)
    expect(words.timeLeft(60)).not.toContain('0 s')
    expect(words.timeLeft(15)).toContain('15')
    expect(words.timeLeft(0)).toBe(words.timeLeft(15))
    expect(words.timeLeft(3_900)).toMatch(/1 .*5 /)
  })
})

test('the words of the reference card', () => {
  expect(WORDS.en.timeLeft(90)).toBe('about 1 min 30 s left')
  expect(WORDS.en.timeLeft(60)).toBe('about 1 min left')
  expect(WORDS.en.checking).toEqual({ headline: 'Checking payment', detail: 'Do not pay again' })
})

test('a sale that is only in doubt is never called cancelled, expired or free of charge', () => {
  for (const language of LANGUAGES) {
    const { checking, unpaid } = WORDS[language]
    const verdicts = Object.values(unpaid).flatMap((message: Message) => [message.headline])
    expect(verdicts).not.toContain(checking.headline)
    expect(`${checking.headline} ${checking.detail}`).not.toMatch(/cancel|expire|not charged|ยกเลิก|หมดอายุ|取消|过期|batal|tamat/i)
  }
})

test('nobody is told they were not charged for a reason we do not know', () => {
  const promises = { en: 'You were not charged', th: 'ไม่มีการตัดเงิน', zh: '未扣款', ms: 'Tiada caj' }
  for (const language of LANGUAGES) {
    const { unpaidOtherwise, unpaid } = WORDS[language]
    expect(JSON.stringify(unpaidOtherwise)).not.toContain(promises[language])
    expect(unpaid.payment_rejected.detail).toBe(promises[language])
  }
})
