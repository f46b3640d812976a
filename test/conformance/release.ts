/**
 * What every release promises, whatever it is made of. Call it inside a describe; `open` makes a fresh one that is ready,
 * with somebody who counts what came out.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Delivery, PULSES_MAX, type Release } from '../../drivers/driver.js'

export interface ReleaseUnderTest {
  readonly release: Release
  /** Pulses that began so far. */
  sent(): number
  /** Whether the output is at its safe level now. */
  safe(): boolean
  /** Lets time go on until this has ended. */
  settle<T>(promise: Promise<T>): Promise<T>
  /** Lets that much time go on, whatever happens. */
  pass(ms: number): Promise<void>
}

/** By then anything that could still come out has done so. */
const LONG_MS = 120_000

export function releaseConformance(open: () => Promise<ReleaseUnderTest>): void {
  let world: ReleaseUnderTest
  beforeEach(async () => { world = await open() })
  afterEach(() => world.settle(world.release.close()))
  const said = (delivery: Delivery): string => delivery.delivery

  test('lets nothing out before it is asked', async () => {
    await world.pass(LONG_MS)
    expect([world.sent(), world.safe()]).toEqual([0, true])
  })

  test.each([1, 2, 7, PULSES_MAX])('sends exactly %i pulses, and is safe after them', async (pulses) => {
    expect(['delivered', 'released', 'unknown']).toContain(said(await world.settle(world.release.release(pulses))))
    expect([world.sent(), world.safe()]).toEqual([pulses, true])
    await world.pass(LONG_MS)
    expect([world.sent(), world.safe()]).toEqual([pulses, true])
  })

  test('serves one sale after the other', async () => {
    for (const pulses of [1, 3, 2]) await world.settle(world.release.release(pulses))
    expect(world.sent()).toBe(6)
  })

  test.each([0, -1, 1.5, NaN, Infinity, PULSES_MAX + 1])('sends nothing when %d pulses are asked for, and says so', async (pulses) => {
    const delivery = await world.settle(world.release.release(pulses))
    expect(delivery).toMatchObject({ delivery: 'unknown', why: expect.stringContaining('nothing was sent') as unknown })
    expect(world.sent()).toBe(0)
  })

  test('sends no more than what was asked in all when it is asked by two at once, and answers both', async () => {
    const both = [world.release.release(3), world.release.release(2)]
    for (const one of both) expect(said(await world.settle(one))).toBeDefined()
    expect(world.sent()).toBeLessThanOrEqual(5)
    expect(world.safe()).toBe(true)
  })

  test('is safe and silent once it was closed, and may be closed twice', async () => {
    await world.settle(world.release.close())
    await expect(world.settle(world.release.close())).resolves.toBeUndefined()
    const delivery = await world.settle(world.release.release(1))
    expect(delivery).toMatchObject({ delivery: 'unknown', why: expect.stringContaining('nothing was sent') as unknown })
    await world.pass(LONG_MS)
    expect([world.sent(), world.safe()]).toEqual([0, true])
  })

  test('closed in the middle it is safe at once, answers whoever waits, and sends nothing more', async () => {
    const delivery = world.release.release(3)
    await world.pass(1)
    const closing = world.release.close()
    expect(world.safe()).toBe(true)
    await world.settle(closing)
    const sent = world.sent()
    expect(sent).toBeLessThanOrEqual(3)
    expect(said(await world.settle(delivery))).toBeDefined()
    await world.pass(LONG_MS)
    expect([world.sent(), world.safe()]).toEqual([sent, true])
  })
}
