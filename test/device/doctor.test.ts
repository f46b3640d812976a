/** The doctor goes on whatever happens to one of its checks, keeps its hands off a running terminal, and says all of it in order. */
import { describe, expect, test } from 'vitest'
import { bounded, examine, type Examination } from '../../device/doctor.js'
import { clockFinding, type Disk, diskProbe } from '../../device/doctor-box.js'
import { countsOf, findingLines, reportJson, summaryLine } from '../../device/doctor-report.js'
import { bad, badlySaid, type Finding, good, type Probe, skipped, unsure } from '../../drivers/finding.js'
import { createFakeClock } from '../fakes/clock.js'

const probe = (check: string, run: Probe['run'], limitMs = 5_000): Probe => ({ check, limitMs, run })
const fine = (check: string): Probe => probe(check, () => Promise.resolve([good(check, 'is there')]))

const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code })

function examination(bent: Partial<Examination> = {}): Examination {
  return {
    always: [fine('board')], alone: [fine('gpio chip')], parts: [fine('panel')],
    journal: { file: '/var/lib/plinth/journal.sqlite', others: () => Promise.resolve(false), claim: () => ({ open: () => { throw failure('EIO', 'the medium is gone') } }) },
    greet: () => Promise.reject(new Error('never reached')), wallMs: () => 0, clock: createFakeClock(), found: () => undefined, ...bent,
  }
}

describe('one broken check does not end the others', () => {
  test('one that throws, at once or later, is bad, with what it said', async () => {
    const clock = createFakeClock()
    const broken = [probe('one', () => { throw new Error('at once') }), probe('two', () => Promise.reject(new Error('later')))]
    const findings = await examine(examination({ always: [...broken, fine('three')], clock }))
    expect(findings.slice(0, 3).map(({ check, status }) => `${check} ${status}`)).toEqual(['one bad', 'two bad', 'three good'])
    expect(findings[0]?.says).toContain('at once')
    expect(clock.waiting()).toBe(0)
  })

  test('one that hangs is ended by its own limit', async () => {
    const clock = createFakeClock()
    const ended = bounded(probe('usb keypad', () => new Promise(() => undefined), 7_000), clock)
    clock.advance(6_999)
    expect(clock.waiting()).toBe(1)
    clock.advance(1)
    expect(await ended).toMatchObject([{ check: 'usb keypad', status: 'bad', says: 'did not end within 7 s' }])
  })

  test('a journal that does not open is what the gateway\'s check says', async () => {
    const findings = await examine(examination())
    expect(findings.map(({ check }) => check)).toEqual(['board', 'gpio chip', 'panel', 'gateway'])
    expect(findings.at(-1)).toMatchObject({ check: 'gateway', status: 'bad', says: expect.stringContaining('the medium is gone') })
  })
})

describe('beside a running terminal', () => {
  const touched: string[] = []
  const touch = (check: string): Probe => probe(check, () => {
    touched.push(check)
    return Promise.resolve([])
  })

  test.each([
    ['the lock is held', { claim: () => { throw failure('JOURNAL_IN_USE', 'in use') }, others: () => Promise.resolve(false) }, 'skipped'],
    ['the lock cannot be taken', { claim: () => { throw failure('SQLITE_CANTOPEN', 'unable to open') }, others: () => Promise.resolve(false) }, 'bad'],
    ['root must not make files there', { claim: () => { throw new Error('claimed all the same') }, others: () => Promise.resolve(true) }, 'bad'],
  ])('hardware and identity are left alone when %s, and files are read nevertheless', async (_, journal, status) => {
    const findings = await examine(examination({ alone: [touch('gpio')], parts: [touch('panel')], journal: { file: 'j.sqlite', ...journal } }))
    expect(touched).toEqual([])
    expect(findings.map((finding) => `${finding.check} ${finding.status}`)).toEqual(['board good', `journal ${status}`, 'hardware skipped', 'gateway skipped'])
    expect(findings[1]?.says).not.toContain('claimed all the same')
  })
})

test('each finding is heard the moment it is made', async () => {
  const heard: string[] = []
  const after = probe('second', () => Promise.resolve([good('second', `after ${heard.join()}`)]))
  await examine(examination({ always: [fine('first'), after], found: ({ check }) => heard.push(check) }))
  expect(heard.slice(0, 2)).toEqual(['first', 'second'])
})

describe('the report', () => {
  const findings: readonly Finding[] = [good('board', 'a Pi'), bad('spi', 'is not there', 'switch it on'), unsure('clock', 'who knows', 'ask'), skipped('lamps', 'none')]

  test('is one line a finding, with what to do on the next, and the counts at the end', () => {
    expect([...findings.map(findingLines), summaryLine(countsOf(findings))].join('')).toBe([
      'good     board            a Pi',
      'bad      spi              is not there',
      '                          -> switch it on',
      'unsure   clock            who knows',
      '                          -> ask',
      'skipped  lamps            none',
      '1 good, 1 bad, 1 unsure, 1 skipped', ''].join('\n'))
  })

  test('stays one line whatever a device calls itself', () => {
    expect(findingLines(good('usb keypad', 'Evil\n\u001b[2Jgood     gateway'))).toBe('good     usb keypad       Evil [2Jgood gateway\n')
  })

  test('is one versioned object for programs, in which every finding has the same fields', () => {
    const report: unknown = JSON.parse(reportJson({ terminal: 'counter-1', software: '0.1.0', mode: 'auto' }, findings))
    expect(report).toEqual({
      version: 1, terminal: 'counter-1', software: '0.1.0', mode: 'auto', counts: { good: 1, bad: 1, unsure: 1, skipped: 1 },
      findings: [
        { check: 'board', status: 'good', says: 'a Pi', fix: null }, { check: 'spi', status: 'bad', says: 'is not there', fix: 'switch it on' },
        { check: 'clock', status: 'unsure', says: 'who knows', fix: 'ask' }, { check: 'lamps', status: 'skipped', says: 'none', fix: null }],
    })
  })

  test.each([
    ['GPIO 23 is taken: free it, or wire another one', 'GPIO 23 is taken', 'free it, or wire another one'],
    ['GPIO 23 is not permitted: the user of this program must be in the group gpio', 'GPIO 23 is not permitted', 'the user of this program must be in the group gpio'],
    ['this machine has no GPIO: /sys/class/gpio cannot be listed (ENOENT)', 'this machine has no GPIO: /sys/class/gpio cannot be listed (ENOENT)', 'otherwise'],
    ['panel busy for 5000 ms', 'panel busy for 5000 ms', 'otherwise'],
  ])('takes the remedy out of a driver\'s sentence: %s', (sentence, says, fix) => {
    expect(badlySaid('x', sentence, 'otherwise')).toEqual({ check: 'x', status: 'bad', says, fix })
  })
})

describe('the clock', () => {
  const noon = Date.parse('2026-11-23T12:00:00Z')
  test.each([
    ['set by a server', { wallMs: noon, synchronised: true }, 'good'], ['set by nobody knows whom', { wallMs: noon, synchronised: false }, 'unsure'],
    ['of a board without a battery', { wallMs: 0, synchronised: true }, 'bad'], ['of the far future', { wallMs: Date.parse('2107-01-01'), synchronised: true }, 'bad'],
  ] as const)('%s', (_, told, status) => {
    expect(clockFinding(told)).toMatchObject({ check: 'clock', status })
  })
})

describe('the medium of the journal', () => {
  const ask = async (disk: Partial<Disk>): Promise<readonly string[]> => {
    const whole: Disk = { syncsMs: () => Promise.resolve([1, 2, 3]), freeBytes: () => Promise.resolve(5e9), ...disk }
    return (await diskProbe('/j/journal.sqlite', whole).run()).map(({ check, status, says }) => `${check} ${status}: ${says}`)
  }

  test('is in order', async () => {
    expect(await ask({})).toEqual(['disk sync good: a write is on the medium of /j in 2.0 ms (median of 3)', 'disk space good: 5000 MB are free in /j'])
  })

  test('one slow write of several says nothing; a slow medium does', async () => {
    expect((await ask({ syncsMs: () => Promise.resolve([900, 2, 3]) }))[0]).toContain('good')
    expect((await ask({ syncsMs: () => Promise.resolve([90, 120, 100]) }))[0]).toContain('unsure')
    expect((await ask({ syncsMs: () => Promise.resolve([3_000, 2_000, 1]) }))[0]).toContain('bad')
  })

  test('that takes nothing, or is full, is bad', async () => {
    expect((await ask({ syncsMs: () => Promise.reject(new Error('EROFS: read-only file system')) }))[0]).toMatch(/bad: .*takes no file: EROFS/)
    expect((await ask({ freeBytes: () => Promise.resolve(19e6) }))[1]).toContain('bad: 19 MB')
    expect((await ask({ freeBytes: () => Promise.resolve(199e6) }))[1]).toContain('unsure: 199 MB')
  })
})
