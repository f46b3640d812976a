import { describe, expect, test } from 'vitest'
import { createLogRelease } from '../../../drivers/release/log.js'
import { releaseConformance } from '../../conformance/release.js'

describe('a release in the log', () => {
  releaseConformance(() => {
    let sent = 0
    return Promise.resolve({
      release: createLogRelease((pulses) => { sent += pulses }),
      sent: () => sent,
      safe: () => true,
      settle: (promise) => promise,
      pass: () => Promise.resolve(),
    })
  })

  test('says the pulses of each sale, and that it has no sensor', async () => {
    const said: number[] = []
    const release = createLogRelease((pulses) => said.push(pulses))
    expect(await release.release(3)).toEqual({ delivery: 'released' })
    expect(await release.release(1)).toEqual({ delivery: 'released' })
    expect(said).toEqual([3, 1])
  })
})
