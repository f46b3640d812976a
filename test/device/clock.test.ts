import { describe, expect, test } from 'vitest'
import { monotonicClock } from '../../device/clock.js'
import { createFakeClock } from '../fakes/clock.js'

describe('an alarm', () => {
  test('never rings before its time, not by a part of a millisecond: who looks at the clock then would wait for ever', async () => {
    const early = await Promise.all(Array.from({ length: 3_000 }, (_, i) => new Promise<number>((resolve) => {
      const at = monotonicClock.now() + 0.3 + (i % 400) * 1.137
      monotonicClock.alarm(at, () => resolve(at - monotonicClock.now()))
    })))
    expect(early.filter((ms) => ms > 0)).toEqual([])
  })

  test('whose time is past rings at once, but not before its caller has gone on', async () => {
    let rang = false
    await new Promise<void>((resolve) => {
      monotonicClock.alarm(-1, () => {
        rang = true
        resolve()
      })
      expect(rang).toBe(false)
    })
    expect(rang).toBe(true)
  })

  test('that was called off does not ring, also twice', async () => {
    let rang = false
    const callOff = monotonicClock.alarm(monotonicClock.now() + 5, () => { rang = true })
    callOff()
    callOff()
    await new Promise<void>((resolve) => { monotonicClock.alarm(monotonicClock.now() + 20, resolve) })
    expect(rang).toBe(false)
  })

  test('of next year does not ring now', async () => {
    let rang = false
    const callOff = monotonicClock.alarm(monotonicClock.now() + 365 * 86_400_000, () => { rang = true })
    await new Promise<void>((resolve) => { monotonicClock.alarm(monotonicClock.now() + 20, resolve) })
    callOff()
    expect(rang).toBe(false)
  })
})

test('the clock of the tests rings in order, also what is set on the way', () => {
  const clock = createFakeClock(0)
  const rang: string[] = []
  clock.alarm(20, () => rang.push(`b ${clock.now()}`))
  clock.alarm(10, () => {
    rang.push(`a ${clock.now()}`)
    clock.alarm(15, () => rang.push(`then ${clock.now()}`))
  })
  const callOff = clock.alarm(12, () => rang.push('never'))
  callOff()
  clock.advance(30)
  expect(rang).toEqual(['a 10', 'then 15', 'b 20'])
  expect(clock.now()).toBe(30)
  expect(clock.waiting()).toBe(0)
})
