import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CLOSE_REASONS, NEEDS_ATTENTION } from '../../device/protocol/wire.js'
import { LANGUAGES, type Message, registerReason, UNPAID_REASONS, unpaidMessage, type Words, WORDS } from '../../device/words.js'
import { answerLine } from '../../drivers/ecr/line.js'

/** Every text of a language, by its path. */
function texts(words: Words): ReadonlyMap<string, string> {
  const all = new Map<string, string>()
  const visit = (path: string, value: unknown): void => {
    if (typeof value === 'string') all.set(path, value)
    else if (typeof value === 'object' && value !== null) for (const [key, inner] of Object.entries(value)) visit(`${path}.${key}`, inner)
  }
  visit('', {
    ...words, amountTooSmall: words.amountTooSmall('THB 20.00'), amountTooLarge: words.amountTooLarge('THB 150,000.00'),
    timeLeft: words.timeLeft(90), lastStep: words.timeLeft(15), updating: words.updating(2),
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

test.each(LANGUAGES)('what the payment API says of a failed charge has its own words in %s: and what is unknown promises nothing', (language) => {
  const words = WORDS[language]
  const codes = ['payment_rejected', 'insufficient_fund', 'failed_processing', 'payment_expired']
  const headlines = codes.map((code) => unpaidMessage(words, code).headline)
  expect(new Set(headlines).size).toBe(codes.length)
  const unknown = unpaidMessage(words, 'a_code_of_next_year')
  expect(headlines.filter((headline) => headline === unknown.headline)).toEqual([words.unpaid.failed_processing.headline])
  expect(unknown.detail).not.toBe(words.unpaid.failed_processing.detail) // It does not invite to pay again.
})

test.each(LANGUAGES)('the code of set-up says in %s that it asks for no money, and the time of an update is named', (language) => {
  const { setUp, updating, scanToPay } = WORDS[language]
  expect(setUp.detail).toMatch(/not a payment|ไม่ใช่การชำระเงิน|不是付款|bukan bayaran/i)
  expect(setUp.headline).not.toBe(scanToPay)
  expect(updating(7).detail).toContain('7')
})

test('one minute is not minutes', () => {
  expect(WORDS.en.updating(1).detail).toBe('Back in 1 minute')
  expect(WORDS.en.updating(2).detail).toBe('Back in 2 minutes')
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

/** What the gateway may say of a sale that is not paid, besides the codes of the API that nobody has told us about. */
const SAID: readonly string[] = [
  ...UNPAID_REASONS,
  'refused: currency not supported', 'refused: amount too small', 'refused: amount too large', 'refused: limit_exceeded',
  'refused: invalid_charge', 'refused: authentication_failure', 'refused: unreachable', 'refused: frozen', 'refused: ',
]
const UNKNOWN = ['a_new_failure_code', 'Insufficient_Fund', ' expired', 'x'.repeat(64), 'refused by somebody', 'refused:']

/** The only reasons that may be said with "you were not charged", and why. */
const NOT_CHARGED: Readonly<Record<string, string>> = {
  payment_rejected: 'the charge was read as failed: the wallet did not accept it',
  insufficient_fund: 'the charge was read as failed: nothing to take, or not allowed to take it',
  refused: 'the API or the gateway refused to make a charge, so no code was ever shown',
}
const PROMISE = /not (be )?charged|no charge|ไม่มีการตัดเงิน|ไม่ถูกตัดเงิน|未扣款|不会扣款|tiada caj|tidak dicaj/i

describe('an unpaid sale', () => {
  test('has words for every reason that the gateway has', () => {
    const source = readFileSync(new URL('../../cloud/charge.ts', import.meta.url), 'utf8')
    const reasons = [/(?<!function )close\([^'\n]*'([^']+)'/g, /\{ reason: [^}\n]*'([^']+)' \}/g]
      .flatMap((closes) => [...source.matchAll(closes)].map(([, reason]) => reason))
    expect(reasons.length).toBeGreaterThan(4)
    for (const reason of reasons) expect(SAID).toContain(reason)
  })

  test.each(LANGUAGES)('in %s, is said to be free of charge only where that was read', (language) => {
    const words = WORDS[language]
    let promised = 0
    for (const reason of [...SAID, ...UNKNOWN]) {
      const { headline, detail } = unpaidMessage(words, reason)
      const kind = /^refused: (?!unreachable$|frozen$)/.test(reason) ? 'refused' : reason
      const promises = PROMISE.test(`${headline} ${detail}`)
      if (promises) promised++
      expect(promises, `${reason}: ${headline}, ${detail}`).toBe(kind in NOT_CHARGED)
    }
    expect(promised).toBeGreaterThan(5)
  })

  test('and no other text promises it', () => {
    for (const language of LANGUAGES) {
      for (const [path, text] of texts(WORDS[language])) {
        if (!path.startsWith('.unpaid.')) expect(text, path).not.toMatch(PROMISE)
      }
    }
  })

  test.each(LANGUAGES)('that a person must look at, in %s, is neither called paid nor not paid', (language) => {
    const words = WORDS[language]
    const { headline, detail } = unpaidMessage(words, NEEDS_ATTENTION)
    expect(detail).toBe(words.checking.detail)
    for (const [reason, other] of Object.entries(words.unpaid)) if (reason !== NEEDS_ATTENTION) expect(headline).not.toBe(other.headline)
    expect([words.paid.headline, words.unpaidOtherwise.headline]).not.toContain(headline)
  })

  test.each([...SAID, ...UNKNOWN])('tells the register why, on one line, %j', (reason) => {
    const line = answerLine({ answer: 'no', reason: registerReason(reason, 'ABC234') })
    expect(line).toMatch(/^NO [\x20-\x7e]{1,60}\r\n$/)
    expect(line.startsWith(`NO ${reason.trim()}`.slice(0, 20))).toBe(true)
    expect(line).not.toMatch(PROMISE)
  })

  test('tells the register the words, whole, and in doubt the reference too', () => {
    const say = (reason: string) => answerLine({ answer: 'no', reason: registerReason(reason, 'ABC234') })
    expect(say('payment_expired')).toBe('NO payment_expired: the code was not paid in time\r\n')
    expect(say('payment_rejected')).toBe('NO payment_rejected: the wallet did not accept it\r\n')
    expect(say('insufficient_fund')).toBe('NO insufficient_fund: too little balance, or a limit\r\n')
    expect(say('failed_processing')).toBe('NO failed_processing: the payment did not go through\r\n')
    expect(say('cancelled')).toBe('NO cancelled\r\n')
    expect(say('refused: limit_exceeded')).toBe('NO refused: limit_exceeded\r\n')
    expect(say('refused: unreachable')).toBe('NO refused: unreachable: try again later\r\n')
    expect(say('a_new_failure_code')).toBe('NO a_new_failure_code: not paid\r\n')
    expect(say(NEEDS_ATTENTION)).toBe('NO needs attention: money may have moved, ref ABC234\r\n')
    for (const reason of SAID) expect(registerReason(reason, 'ABC234').length, reason).toBeLessThanOrEqual(60)
  })
})
