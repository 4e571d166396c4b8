import type { Subject } from "../suite/subjects/subject.ts";
import { kafkaSubjects } from "./kafka/kafka-subject.ts";
import { mosquittoSubjects } from "./mosquitto/mosquitto-subject.ts";
import { natsSubjects } from "./nats/nats-subjects.ts";
import { rabbitMqSubjects } from "./rabbitmq/rabbitmq-subjects.ts";
import { redisSubjects } from "./redis/redis-subjects.ts";
import { relaySubject } from "./relay/relay-subject.ts";

/** Every broker that the suite compares with, in the order of its tables. */
export const allPeers: readonly Subject[] = [
  ...redisSubjects,
  ...natsSubjects,
  ...kafkaSubjects,
  ...rabbitMqSubjects,
  ...mosquittoSubjects,
  relaySubject,
];
